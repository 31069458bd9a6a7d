"""A session: a program, what it wrote, and what is known about it."""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from semo_agent.terminals.base import Size
from tests.iterm2_server.buffer import Buffer, Mark
from tests.iterm2_server.escapes import EscapeReader, Told
from tests.iterm2_server.profiles import Profile
from tests.iterm2_server.program import Program, command_line, process_name, working_folder

_BANNER = "\x1b[0m\x1b[?25h{start}─── Session Ended ───\r\n"


_RESTARTED = "\x1b[?1049l\x1b[!p\r\n─── Session Restarted ───\r\n".encode()
"""Leaves the alternate screen and the modes of the program before."""


class Audience(Protocol):
    """Who is told what happens in a session."""

    def changed(self, session: "Session") -> None:
        """Its screen or a variable changed."""

    def told(self, session: "Session", told: Told) -> None:
        """Its program sent a sequence that clients may want."""

    def marked(self, session: "Session", mark: Mark) -> None:
        """Its program set a mark of shell integration."""

    def restarted(self, session: "Session", before: str) -> None:
        """Another program runs in it, and it had another id before."""

    def ended(self, session: "Session") -> None:
        """Its program ended."""


def new_guid() -> str:
    return str(uuid4()).upper()


class Session:
    """One session. Its id is new after every restart, unlike its `user.` variables."""

    def __init__(self, profile: Profile, size: Size, audience: Audience, *, guid: str | None = None) -> None:
        """Nothing runs before `start`."""
        self.guid = guid or new_guid()
        self.profile = profile
        self.size = size
        self.place = "w0t0p0"
        self.buffer = Buffer(size, profile.history_limit)
        self.user: dict[str, Any] = {}
        self.given_name: str | None = None
        self.window_name: str | None = None
        self.icon_name: str | None = None
        self.bells = 0
        self.exited = True
        self.program: Program | None = None
        self._next_guid: str | None = None
        self._audience = audience
        self._created = datetime.now()
        self._escapes = EscapeReader()

    def start(self) -> None:
        """Run the program of the profile. Raises `OSError` without a PTY, `MissingSubstitution`."""
        self.exited = False
        self.program = Program(
            self.profile.argv,
            self.profile.folder,
            self._environment(),
            self.size,
            on_output=self.inject,
            on_end=self._end,
        )

    def restart(self) -> str:
        """Kill the program, and run it again below what is on the screen; returns the id that the session has then."""
        self._next_guid = new_guid()
        if self.program is None or self.exited:
            self._begin_again()
        else:
            self.program.signal(signal.SIGKILL)
        return self._next_guid

    def type(self, data: bytes) -> None:
        if self.program is not None:
            self.program.write(data)

    def inject(self, data: bytes) -> None:
        """Take bytes as output of the program."""
        self.type(self.buffer.feed(data))
        for told in self._escapes.read(data):
            self._note(told)
        for mark in self.buffer.take_marks():
            self._audience.marked(self, mark)
        self._audience.changed(self)

    def resize(self, size: Size) -> None:
        if size != self.size:
            self.size = size
            self.buffer.resize(size)
            if self.program is not None:
                self.program.resize(size)
            self._audience.changed(self)

    def clear_buffer(self) -> None:
        """Clear all but the line of the cursor, which goes to the top."""
        self.buffer.clear()
        self._audience.changed(self)

    def hang_up(self) -> None:
        """End the program as a closed tab does."""
        self.exited = True
        if self.program is not None:
            self.program.hang_up()

    def close(self) -> None:
        self.hang_up()
        self.buffer.close()

    @property
    def name(self) -> str:
        """What the tab shows."""
        return self.given_name or (self.window_name if self.profile.allows_titles else None) or self.automatic_name

    @property
    def automatic_name(self) -> str:
        return self.profile.name

    def variable(self, name: str) -> Any:
        """The value of a variable; None where there is none."""
        name = name.removeprefix("session.")
        if name.startswith("user."):
            return self.user.get(name)
        return _VARIABLES[name](self) if name in _VARIABLES else None

    def variables(self) -> dict[str, Any]:
        """All of them by name."""
        return {**{name: value(self) for name, value in _VARIABLES.items()}, **self.user}

    def _note(self, told: Told) -> None:
        if told.number is None:
            self.bells += 1
        elif told.number in (0, 2):
            self.window_name = told.text
        if told.number in (0, 1):
            self.icon_name = told.text
        self._audience.told(self, told)

    def _end(self, failure: str | None) -> None:
        self.exited = True
        if self._next_guid is not None:
            self._begin_again()
            return
        start = "\r\n" if self.buffer.cursor.x else ""
        self.inject(_BANNER.format(start=start + f"{failure}\r\n" if failure else start).encode())
        self._audience.ended(self)

    def _begin_again(self) -> None:
        assert self._next_guid is not None
        before, self.guid, self._next_guid = self.guid, self._next_guid, None
        self.window_name = self.icon_name = None
        self.buffer.feed(_RESTARTED)
        self.start()
        self._audience.restarted(self, before)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ITERM2_")}
        ids = f"{self.place}:{self.guid}"
        return {
            **inherited,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLORFGBG": "7;0",
            "TERM_PROGRAM": "iTerm.app",
            "TERM_PROGRAM_VERSION": "3.6.0",
            "LC_TERMINAL": "iTerm2",
            "LC_TERMINAL_VERSION": "3.6.0",
            "ITERM_PROFILE": self.profile.name,
            "ITERM_SESSION_ID": ids,
            "TERM_SESSION_ID": ids,
            "PWD": self.profile.folder,
        }


def _pid(session: Session) -> int | None:
    return session.program.pid if session.program and not session.exited else None


def _job(session: Session) -> int | None:
    return session.program.foreground() if session.program and not session.exited else None


def _of_job(tell: Callable[[int], str | None]) -> Callable[[Session], str | None]:
    return lambda session: tell(job) if (job := _job(session)) is not None else None


def _of_program(tell: Callable[[int], str | None]) -> Callable[[Session], str | None]:
    return lambda session: tell(pid) if (pid := _pid(session)) is not None else None


_VARIABLES: dict[str, Callable[[Session], Any]] = {
    "id": lambda session: session.guid,
    "termid": lambda session: f"{session.place}.{session.guid}",
    "name": lambda session: session.name,
    "presentationName": lambda session: session.name,
    "autoName": lambda session: session.automatic_name,
    "autoNameFormat": lambda session: session.automatic_name,
    "profileName": lambda session: session.profile.name,
    "terminalWindowName": lambda session: session.window_name,
    "terminalIconName": lambda session: session.icon_name,
    "columns": lambda session: session.size.cols,
    "rows": lambda session: session.size.rows,
    "showingAlternateScreen": lambda session: session.buffer.alternate,
    "bellCount": lambda session: session.bells,
    "tty": lambda session: session.program.tty if session.program else None,
    "pid": _pid,
    "effective_root_pid": _pid,
    "jobPid": _job,
    "jobName": _of_job(process_name),
    "processTitle": _of_job(process_name),
    "commandLine": _of_job(command_line),
    "path": _of_program(working_folder),
    "username": lambda session: os.environ.get("USER"),
    "hostname": lambda session: "localhost",
    "creationTimeString": lambda session: session._created.strftime("%m/%d %H:%M:%S"),
}
