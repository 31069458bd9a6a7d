"""The background processes of one state folder, found and stopped.

A process holds a lock on a file for as long as it lives and writes a record when it serves. The record is believed only
while the lock is held: what a killed process left behind is never taken for a running one.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal
from uuid import UUID

from semo_console.births import birth_of
from semo_console.errors import Busy, ProcessFailed
from semo_office.locations import StateFolder

ProcessName = Literal["supervisor", "hub", "agent", "server"]

READY_DEADLINE = 30.0  # s
STOP_DEADLINE = 10.0  # s, until it is killed
KILL_DEADLINE = 5.0  # s, until the system has taken it away
TURN_DEADLINE = 60.0  # s, for another `semo up` or `semo down` to end
_PAUSE = 0.02  # s between two looks


class ProcessState(StrEnum):
    RUNNING = "running"
    STARTING = "starting"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Process:
    """A background process as it was found. `birth` tells it from a later process with the same pid."""

    name: ProcessName
    pid: int
    birth: str
    url: str | None = None
    """Of a hub: where it serves."""
    host_id: UUID | None = None
    """Of an agent: the host that it acts for."""
    link: str | None = None
    """Of an agent: the state of its connection to the office."""
    link_since: str | None = None
    """Of an agent: when that state began, as in RFC 3339."""
    terminal: str | None = None
    """Of an agent: where its programs run."""
    terminal_why: str | None = None
    """Of an agent: why there."""

    def is_alive(self) -> bool:
        return birth_of(self.pid) == self.birth

    def signal(self, number: signal.Signals) -> None:
        # Between the look and the signal the process may end; its pid is not given anew that quickly.
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class Processes:
    """Finds and stops what runs in one state folder. Blocking. Raises ProcessFailed, Busy."""

    locks: ClassVar[dict[ProcessName, str]] = {
        "supervisor": "run/supervisor.lock",
        "hub": "hub/lock",
        "agent": "agent/lock",
        "server": "run/server.lock",
    }

    state: StateFolder
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One `semo up` or `semo down` at a time in a state folder."""
        descriptor = os.open(self.state.run / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not self.wait(lambda: take_lock(descriptor), TURN_DEADLINE):
                raise Busy("Another `semo up` or `semo down` is at work here; wait for it to end.")
            yield
        finally:
            os.close(descriptor)

    def find(self, name: ProcessName) -> Process | None:
        """The process that runs and serves, if there is one."""
        record = self._read_record(name)
        pid = record.get("pid")
        birth = birth_of(pid) if isinstance(pid, int) else None
        # The lock is tried only beside a record: a process that is just starting must find it free.
        if not isinstance(pid, int) or birth is None or not is_locked(self.lock_of(name)):
            return None
        host_id = _text(record.get("host_id"))
        return Process(
            name,
            pid,
            birth,
            url=_text(record.get("url")),
            host_id=UUID(host_id) if host_id else None,
            link=_text(record.get("link")),
            link_since=_text(record.get("link_since")),
            terminal=_text(record.get("terminal")),
            terminal_why=_text(record.get("terminal_why")),
        )

    def look(self, name: ProcessName) -> ProcessState:
        if self.find(name):
            return ProcessState.RUNNING
        has_record = self.state.process_record(name).exists()
        return ProcessState.STOPPED if has_record or not is_locked(self.lock_of(name)) else ProcessState.STARTING

    def settle(self, name: ProcessName) -> Process | None:
        """The process, once it serves or has given up starting. Raises ProcessFailed when it does neither."""
        if not self.wait(lambda: self.look(name) is not ProcessState.STARTING, READY_DEADLINE):
            raise ProcessFailed(f"The {name} is just starting; try again in a moment.")
        return self.find(name)

    def await_running(self, name: ProcessName) -> Process:
        """Wait until a process that somebody else starts serves."""
        self.wait(lambda: self.find(name) is not None, READY_DEADLINE)
        if process := self.find(name):
            return process
        raise ProcessFailed(f"No {name} has come up within {READY_DEADLINE:.0f} s. `semo up` starts it.")

    def stop(self, process: Process, *, warn: Callable[[str], None], patience: float = STOP_DEADLINE) -> None:
        """End a process: politely, and after `patience` s by force; `warn` is told."""
        process.signal(signal.SIGTERM)
        if not self.wait(lambda: not process.is_alive(), patience):
            warn(f"The {process.name} (pid {process.pid}) does not stop; killing it.")
            process.signal(signal.SIGKILL)
            if not self.wait(lambda: not process.is_alive(), KILL_DEADLINE):
                raise ProcessFailed(f"The {process.name} (pid {process.pid}) can't be killed; end it by hand.")
        self.forget(process.name)

    def forget(self, name: ProcessName) -> None:
        """A record without a process is a leftover, and must not be taken for the next one's."""
        self.state.process_record(name).unlink(missing_ok=True)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether the condition came true in time."""
        deadline = self.monotonic() + seconds
        while not condition():
            if self.monotonic() >= deadline:
                return False
            self.sleep(_PAUSE)
        return True

    def lock_of(self, name: ProcessName) -> Path:
        return self.state.path / self.locks[name]

    def _read_record(self, name: ProcessName) -> dict[str, object]:
        """The record of a process; one that is missing or damaged says nothing, as only the lock proves life."""
        try:
            record = json.loads(self.state.process_record(name).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def is_locked(lock: Path) -> bool:
    """Whether a process holds this lock now."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not take_lock(descriptor)
    finally:
        os.close(descriptor)


def take_lock(descriptor: int) -> bool:
    """Whether the lock is ours now, until the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
