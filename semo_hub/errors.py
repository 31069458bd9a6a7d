"""Errors of the hub; each text is one sentence that says what to do.

HubError
├── StateFolderError     the state folder can't be used
├── BrokenFile           a file in the state folder can't be read
├── AlreadyRunning       another hub holds this state folder
├── PortInUse            another program listens on the port
├── PostgresError        PostgreSQL can't be started or reached
├── MigrationError       a SQL file can't be applied
└── AccessDenied         who asks is not known, or may not
    ├── UnknownKey       the API key is not one of ours
    └── BadToken         the token is not ours, or has expired
"""


class HubError(Exception):
    """Something the hub can't do."""


class StateFolderError(HubError):
    """The state folder can't be used."""


class BrokenFile(HubError):
    """A file in the state folder can't be read."""


class AlreadyRunning(HubError):
    """Another hub holds this state folder."""


class PortInUse(HubError):
    """Another program listens on the port."""


class PostgresError(HubError):
    """PostgreSQL can't be started or reached."""


class MigrationError(HubError):
    """A SQL file can't be applied."""


class AccessDenied(HubError):
    """Who asks is not known, or may not do this."""


class UnknownKey(AccessDenied):
    """The API key is not one of ours."""


class BadToken(AccessDenied):
    """The token is not ours, is malformed, or has expired."""

    def __init__(self, message: str, *, expired_for: float | None = None) -> None:
        """`expired_for`: seconds since it expired, None when that is not what is wrong."""
        super().__init__(message)
        self.expired_for = expired_for
