"""Errors of the console and the `semo` command; each text is one sentence that says what to do.

ConsoleError
├── ProcessFailed     a background process did not start or stop
├── Superseded        another agent process took our place
├── Busy              another `semo up` or `semo down` is at work
├── UnclearTarget     which office or session is meant can't be told
├── UnreadableInput   what was given can't be sent as it is
└── KeysRefused       the keys in the configuration can't be used
"""


class ConsoleError(Exception):
    """Something the command can't do."""


class ProcessFailed(ConsoleError):
    """A background process did not start or stop."""


class Superseded(ConsoleError):
    """Another agent process acts for this host now."""


class Busy(ConsoleError):
    """Another `semo up` or `semo down` is at work in the same state folder."""


class UnclearTarget(ConsoleError):
    """Which office or session is meant can't be told."""


class UnreadableInput(ConsoleError):
    """What was given can't be sent as it is."""


class KeysRefused(ConsoleError):
    """The keys in the configuration can't be used."""
