"""Refusals of the API: one envelope, whatever went wrong."""

import math
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from semo_office.errors import (
    CommandError,
    CommandNotFound,
    ConfigurationError,
    ErrorCode,
    LinkError,
    NotAuthenticated,
    OfficeError,
    RequestRejected,
)

RETRY_AFTER_S: Final = 5.0


class Refusal(StrEnum):
    """Why the API itself refuses; what the office refuses has one of its `ErrorCode`s."""

    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_SLOW = "too_slow"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    FOREIGN_HOST = "foreign_host"
    FOREIGN_ORIGIN = "foreign_origin"
    OVERLOADED = "overloaded"
    OFFICE_AWAY = "office_away"
    OFFICE_REFUSED = "office_refused"
    BAD_REQUEST = "bad_request"
    INTERNAL = "internal"


class Problem(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "error": "session_not_found",
                    "message": "There is no such session in this office.",
                    "request_id": "0b9d6f0e8d574d279f602f8a3f3f8a10",
                }
            ]
        },
    )

    error: str = Field(description="A code: of the office's closed set, or the API's own.")
    message: str = Field(description="One sentence for a person.")
    request_id: str = Field(description="What the server's log calls this request.")


class Refused(HTTPException):
    """A request that is answered with a problem. `retry_after`: s.

    The framework lets its own class pass wherever it is raised, also where a body is read.
    """

    def __init__(
        self, status: int, code: str, sentence: str, *, headers: dict[str, str] | None = None, retry_after: float = 0.0
    ) -> None:
        retry = {"Retry-After": str(math.ceil(retry_after))} if retry_after else {}
        super().__init__(status, sentence, {**(headers or {}), **retry})
        self.code = code

    def to_problem(self, request_id: str) -> Problem:
        return Problem(error=self.code, message=self.detail, request_id=request_id)

    def to_response(self, request_id: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        body = self.to_problem(request_id).model_dump()
        return JSONResponse(body, self.status_code, {**(self.headers or {}), **(headers or {})})


_STATUS_OF_CODE: Final = {
    ErrorCode.SESSION_NOT_FOUND: 404,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.INVALID_PAYLOAD: 422,
}
"""Every other code of the office: 409, what is asked for contradicts how things are there."""

_CODE_OF_STATUS: Final = {
    400: Refusal.BAD_REQUEST,
    404: Refusal.NOT_FOUND,
    405: Refusal.METHOD_NOT_ALLOWED,
}
_SENTENCE_OF_STATUS: Final = {
    400: "The body can't be read.",
    404: "There is no such address; /openapi.json lists them.",
    405: "This address does not take this method; the header Allow lists those that it takes.",
}
# PostgreSQL's classes for data that a column has no form for, and for constraints.
_UNSTORABLE: Final = ("22", "23")
_NO_PRIVILEGE: Final = "42501"


def unauthenticated(sentence: str, *, invalid: bool = False) -> Refused:
    """401. `invalid`: there is a token, and it is not accepted."""
    challenge = 'Bearer error="invalid_token"' if invalid else "Bearer"
    return Refused(401, Refusal.UNAUTHENTICATED, sentence, headers={"WWW-Authenticate": challenge})


def not_found(what: str) -> Refused:
    """404, the same for what does not exist and for what the caller may not see."""
    return Refused(404, Refusal.NOT_FOUND, f"There is no such {what}.")


def overloaded(sentence: str) -> Refused:
    return Refused(503, Refusal.OVERLOADED, sentence, retry_after=RETRY_AFTER_S)


def of_office(err: OfficeError) -> Refused:
    """What an error of the office is over HTTP."""
    if isinstance(err, CommandError):
        return Refused(_STATUS_OF_CODE.get(err.code, 409), err.code, str(err))
    if isinstance(err, NotAuthenticated):
        return unauthenticated("The office does not accept this token; `semo token` prints one.", invalid=True)
    if isinstance(err, CommandNotFound):
        return not_found("command")
    if isinstance(err, LinkError | ConfigurationError):
        sentence = "The office can't be reached now; try again in a moment."
        return Refused(503, Refusal.OFFICE_AWAY, sentence, retry_after=RETRY_AFTER_S)
    return _rejected(err.code or "" if isinstance(err, RequestRejected) else "")


def of_framework(err: HTTPException) -> Refused:
    """What the framework refuses by itself."""
    code = _CODE_OF_STATUS.get(err.status_code, Refusal.BAD_REQUEST)
    sentence = _SENTENCE_OF_STATUS.get(err.status_code) or f"{HTTPStatus(err.status_code).description}."
    return Refused(err.status_code, code, sentence, headers=dict(err.headers or {}))


def of_validation(err: RequestValidationError) -> Refused:
    """A sentence for each fault. They never show what was sent: it may be a prompt."""
    sentences = [_fault(each["loc"], each["type"], each["msg"]) for each in err.errors()]
    return Refused(422, ErrorCode.INVALID_PAYLOAD, " ".join(dict.fromkeys(sentences)))


def internal() -> Refused:
    return Refused(500, Refusal.INTERNAL, "Something went wrong that should not; the server's log has the details.")


def _rejected(code: str) -> Refused:
    if code == _NO_PRIVILEGE:
        return Refused(403, ErrorCode.FORBIDDEN, "You may not do that in this office.")
    if code.startswith(_UNSTORABLE):
        return Refused(422, ErrorCode.INVALID_PAYLOAD, "The office can't store one of these values.")
    sentence = f"The office does not understand this server ({code or 'no code'}); their versions may differ."
    return Refused(502, Refusal.OFFICE_REFUSED, sentence)


def _fault(where: tuple[int | str, ...], kind: str, message: str) -> str:
    if kind == "json_invalid":
        return "The body is not valid JSON."
    if kind == "uuid_parsing":
        message = "Input should be a UUID"
    place, *path = where
    name = ".".join(str(part) for part in path)
    return f"{name or place}: {message.removeprefix('Value error, ')}."
