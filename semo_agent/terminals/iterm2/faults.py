"""Why iTerm2 can't be used, each with what a person does about it."""

from typing import Final

from semo_agent.errors import TerminalDied

OLDEST_PROTOCOL: Final = (1, 0)
"""The first that names itself; iTerm2 3.3 and later speak it."""


class ITerm2Unavailable(TerminalDied):
    """iTerm2 can't be used now."""

    sentence = "iTerm2 can't be used."

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{self.sentence} ({detail})" if detail else self.sentence)


class NotRunning(ITerm2Unavailable):
    sentence = "iTerm2 does not run; start it, or choose another --terminal."


class ApiDisabled(ITerm2Unavailable):
    sentence = "iTerm2's Python API is off; turn it on in iTerm2 under Settings > General > Magic > Enable Python API."


class CookieRefused(ITerm2Unavailable):
    sentence = "iTerm2 refused SEMO; allow it in iTerm2 under Settings > General > Magic, and start the agent again."


class TooOld(ITerm2Unavailable):
    sentence = "This iTerm2 and SEMO's iterm2 library do not fit together; update iTerm2, then SEMO."


class NotPermitted(ITerm2Unavailable):
    sentence = (
        "macOS does not let SEMO control iTerm2; allow it in System Settings > Privacy & Security > Automation, "
        "and start the agent again."
    )


class NoDesktop(ITerm2Unavailable):
    sentence = (
        "The agent was started without a desktop session, as over SSH, where iTerm2 can't be reached; "
        "run `semo agent install` once, then it starts with the desktop."
    )


class NotInstalled(ITerm2Unavailable):
    sentence = "The iterm2 library is missing; install SEMO with its extra: pip install 'semo[iterm2]'."
