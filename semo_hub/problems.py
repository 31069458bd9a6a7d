"""What goes wrong in a REST request, in PostgREST's words and with its status."""

import psycopg

from semo_hub.errors import HubError


class Problem(HubError):
    """An error answer: HTTP status, and the four fields of its body."""

    def __init__(
        self, status: int, code: str, message: str, details: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint

    @property
    def body(self) -> dict[str, str | None]:
        return {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}


class UnknownName(Problem):
    """A table, function or column that the catalog does not know: it may be newer than the catalog."""


_STATUS_BY_CODE = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "57P01": 503,
    "P0001": 400,
    "53400": 500,
}

_STATUS_BY_CLASS = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "21": 500,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}


def problem_of(err: psycopg.Error, *, anonymous: bool) -> Problem:
    """The answer to an error of the database; `anonymous` decides what a missing privilege means."""
    code = err.sqlstate
    if code is None:
        return unstorable(str(err)) if isinstance(err, psycopg.DataError) else unreachable()
    diagnostic = err.diag
    return Problem(
        _status(code, anonymous),
        code,
        diagnostic.message_primary or str(err),
        diagnostic.message_detail,
        diagnostic.message_hint,
    )


def unreachable() -> Problem:
    """The database can't be reached; clients try a read again by themselves."""
    return Problem(503, "PGRST001", "Could not connect with the database due to an internal error.")


def unstorable(reason: str) -> Problem:
    """A text that PostgreSQL has no form for: it holds a zero byte or half a surrogate pair."""
    return Problem(400, "22021", reason)


def saturated() -> Problem:
    return Problem(504, "PGRST003", "Timed out acquiring connection from connection pool.")


def malformed(message: str, details: str | None = None) -> Problem:
    """A query string that can't be read."""
    return Problem(400, "PGRST100", message, details)


def unknown_column(relation: str, column: str) -> Problem:
    return UnknownName(400, "42703", f"column {relation}.{column} does not exist")


def _status(code: str, anonymous: bool) -> int:
    if code == "42501":
        return 401 if anonymous else 403
    if code.startswith("PT") and code[2:].isdigit():
        return int(code[2:])
    return _STATUS_BY_CODE.get(code) or _STATUS_BY_CLASS.get(code[:2], 400)
