"""What the office answers and what the network does, in the errors of `semo_office.errors`."""

from typing import Final

import httpx
from postgrest.exceptions import APIError

from semo_office.errors import (
    CommandError,
    ConfigurationError,
    ErrorCode,
    LinkError,
    LinkTimeout,
    NotAuthenticated,
    OfficeError,
    RequestRejected,
)

_CODES: Final = frozenset(ErrorCode)
# PostgREST has no connection to its database; PostgreSQL is starting, stopping, has no room, or gave up on a lock.
_AWAY: Final = ("PGRST00", "08", "40", "53", "55P03", "57P", "57014")
_TOO_MANY_REQUESTS: Final = 429


def from_answer(error: APIError, status: int) -> OfficeError:
    """The error that an answer means. Details stay out: they can hold a row, and so a prompt."""
    code, message = error.code or str(status), error.message or "no reason given"
    if status == httpx.codes.UNAUTHORIZED:
        return NotAuthenticated(f"The office does not accept this token: {message}.")
    if code.startswith("PT4") and message in _CODES:
        return CommandError(ErrorCode(message), str(error.details) if error.details else None)
    if status == _TOO_MANY_REQUESTS or code.startswith(_AWAY) or (status >= 500 and code == str(status)):
        return LinkError(f"The office can't answer now: {message} ({code}).")
    return RequestRejected(f"The office refused the request: {message} ({code}).", code)


def from_network(error: httpx.HTTPError | httpx.InvalidURL | TimeoutError) -> OfficeError:
    """The error that a request which got no answer means."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return LinkTimeout("The office did not answer in time.")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return ConfigurationError(f"The address of the office is not valid: {error}.")
    return LinkError(f"The office can't be reached: {error or type(error).__name__}.")
