"""Errors of the office, and the closed set of codes that a command can fail with.

OfficeError
├── ConfigurationError      settings or state folder can't be used
├── LinkError               the office can't be reached
│   ├── LinkTimeout         no answer within the deadline
│   └── NotAuthenticated    the token is missing, wrong or expired
├── RequestRejected         the office refused a request for a reason outside the set below
├── TermEnded               this server does not lead the office any more
├── CommandNotFound         there is no command with this id that the caller may see
└── CommandError            refused or failed for one of `ErrorCode`
    └── WaitEnded           the caller stopped waiting; the command goes on
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a command failed. The database, the agent and every client use these and no others."""

    SESSION_NOT_FOUND = "session_not_found"
    SESSION_BLOCKED = "session_blocked"
    NOT_READY = "not_ready"
    DRAFT_PRESENT = "draft_present"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INDETERMINATE = "indeterminate"
    HOST_OFFLINE = "host_offline"
    BREAKER_OPEN = "breaker_open"
    POOL_EXHAUSTED = "pool_exhausted"
    LAUNCH_FAILED = "launch_failed"
    SESSION_EXITED = "session_exited"
    INVALID_PAYLOAD = "invalid_payload"
    TERMINAL_UNAVAILABLE = "terminal_unavailable"
    FORBIDDEN = "forbidden"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"


SENTENCES: dict[ErrorCode, str] = {
    ErrorCode.SESSION_NOT_FOUND: "There is no such session. `semo sessions` lists them.",
    ErrorCode.SESSION_BLOCKED: "The session asks something. Answer it first: `semo send --answer`.",
    ErrorCode.NOT_READY: "The session is not ready for a prompt.",
    ErrorCode.DRAFT_PRESENT: "Somebody is typing in that terminal; nothing was sent into their text.",
    ErrorCode.TIMEOUT: "It did not happen in time.",
    ErrorCode.CANCELLED: "It was cancelled.",
    ErrorCode.INDETERMINATE: "The host was lost while typing; it may have arrived, and is not typed again.",
    ErrorCode.HOST_OFFLINE: "No host is there to do it. Start one with `semo up`.",
    ErrorCode.BREAKER_OPEN: "Starting sessions is paused after repeated failures.",
    ErrorCode.POOL_EXHAUSTED: "All sessions are in use.",
    ErrorCode.LAUNCH_FAILED: "The program could not be started.",
    ErrorCode.SESSION_EXITED: "The program in the session ended.",
    ErrorCode.INVALID_PAYLOAD: "The request can't be understood.",
    ErrorCode.TERMINAL_UNAVAILABLE: "The terminal does not answer.",
    ErrorCode.FORBIDDEN: "You may not do that in this office.",
    ErrorCode.SUPERSEDED: "Another agent process acts for this host now.",
    ErrorCode.CONFLICT: "It contradicts what is there already.",
}


class OfficeError(Exception):
    """Something the office can't do; its text is one sentence for a person."""


class ConfigurationError(OfficeError):
    """Settings or the state folder can't be used."""


class LinkError(OfficeError):
    """The office can't be reached."""


class LinkTimeout(LinkError):
    """The office did not answer within the deadline."""


class NotAuthenticated(LinkError):
    """The office does not accept this token."""


class RequestRejected(OfficeError):
    """The office refused a request: a programming or version mistake. `code` is the service's own."""

    def __init__(self, sentence: str, code: str | None = None) -> None:
        self.code = code
        super().__init__(sentence)


class CommandNotFound(OfficeError):
    """There is no command with this id that the caller may see."""


class TermEnded(OfficeError):
    """This server does not lead the office any more; whoever does goes on with its work."""


class CommandError(OfficeError):
    """A command was refused or failed."""

    def __init__(self, code: ErrorCode, sentence: str | None = None) -> None:
        self.code = code
        super().__init__(sentence or SENTENCES[code])


class WaitEnded(CommandError):
    """The caller stopped waiting. Nothing changed in the office: the command goes on."""

    def __init__(self, sentence: str) -> None:
        super().__init__(ErrorCode.TIMEOUT, sentence)
