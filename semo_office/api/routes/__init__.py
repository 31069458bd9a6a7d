"""The addresses of the API."""

from typing import Any, Final

from semo_office.api.problems import Problem

_WHAT: Final = {
    400: "The body can't be read.",
    401: "No token, or one that the office does not accept.",
    403: "The caller may not do that, or the request comes from another web site.",
    404: "It does not exist, or the caller may not see it.",
    408: "The body did not arrive in time.",
    409: "It contradicts how things are; `error` says why.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not JSON.",
    421: "The Host is not one of the server's.",
    422: "The request can't be understood; `message` has a sentence for each fault.",
    502: "The office does not understand this server.",
    503: "The office can't be reached, or the server is at its limits; Retry-After says when to come back.",
}
_READING: Final = (401, 403, 404, 421, 422, 502, 503)
_WRITING: Final = (*_READING, 400, 408, 409, 413, 415)

Responses = dict[int | str, dict[str, Any]]


def _problems(*statuses: int) -> Responses:
    return {status: _problem(status) for status in sorted(statuses)}


def _problem(status: int) -> dict[str, Any]:
    headers = {
        401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
        503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    }
    return {"model": Problem, "description": _WHAT[status], "headers": headers.get(status, {})}


READING: Final = _problems(*_READING)
WRITING: Final = _problems(*_WRITING)
