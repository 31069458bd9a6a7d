"""The background processes of `semo up`: started, found again and stopped.

A process holds a lock on a file for as long as it lives and writes a record when it serves. The record is believed only
while the lock is held: what a killed process left behind is never taken for a running one.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal
from uuid import UUID

from semo_console.births import birth_of
from semo_console.errors import Busy, ProcessFailed
from semo_office.locations import StateFolder

ServiceName = Literal["hub", "agent"]

READY_DEADLINE = 30.0  # s
STOP_DEADLINE = 10.0  # s, until it is killed
KILL_DEADLINE = 5.0  # s, until the system has taken it away
TURN_DEADLINE = 60.0  # s, for another `semo up` or `semo down` to end
_PAUSE = 0.02  # s between two looks

# Settings of ours that hold a secret; the background processes read such things from files.
_SECRET_VARIABLES = ("SEMO_DATABASE_URL", "SEMO_SUPABASE_KEY")
_SENTENCE_MARK = "semo: "


class ServiceState(StrEnum):
    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Service:
    """A background process as it was found. `birth` tells it from a later process with the same pid."""

    name: ServiceName
    pid: int
    birth: str
    url: str | None = None
    """Of a hub: where it serves."""
    host_id: UUID | None = None
    """Of an agent: the host that it acts for."""
    link: str | None = None
    """Of an agent: the state of its connection to the office."""

    def is_alive(self) -> bool:
        return birth_of(self.pid) == self.birth


@dataclass(frozen=True)
class Launch:
    """A service that was started and may not serve yet. `log_offset`: bytes of the log that were there before."""

    name: ServiceName
    process: subprocess.Popen[bytes]
    log: Path
    log_offset: int


@dataclass
class Supervisor:
    """Starts and stops the services of one state folder. Blocking. Raises ProcessFailed, Busy."""

    names: ClassVar[tuple[ServiceName, ...]] = ("hub", "agent")

    state: StateFolder
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    program: tuple[str, ...] = (sys.executable, "-P", "-m", "semo_console")
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One `semo up` or `semo down` at a time in a state folder."""
        descriptor = os.open(self.state.run / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not self._wait(lambda: _take(descriptor), TURN_DEADLINE):
                raise Busy("Another `semo up` or `semo down` is at work here; wait for it to end.")
            yield
        finally:
            os.close(descriptor)

    def find(self, name: ServiceName) -> Service | None:
        """The service that runs and serves, if there is one."""
        record = self._read_record(name)
        pid = record.get("pid")
        birth = birth_of(pid) if isinstance(pid, int) else None
        # The lock is tried only beside a record: a process that is just starting must find it free.
        if not isinstance(pid, int) or birth is None or not is_locked(self._lock_of(name)):
            return None
        host_id = _text(record.get("host_id"))
        return Service(
            name,
            pid,
            birth,
            url=_text(record.get("url")),
            host_id=UUID(host_id) if host_id else None,
            link=_text(record.get("link")),
        )

    def look(self, name: ServiceName) -> ServiceState:
        if self.find(name):
            return ServiceState.RUNNING
        has_record = self.state.process_record(name).exists()
        return ServiceState.STOPPED if has_record or not is_locked(self._lock_of(name)) else ServiceState.STARTING

    def launch(self, name: ServiceName, *arguments: str) -> Launch:
        """Start a service in the background; the caller awaits or abandons it."""
        # A record without a process is a leftover, and must not be taken for the new one's.
        self.state.process_record(name).unlink(missing_ok=True)
        log = self.state.log_of(name)
        size = log.stat().st_size if log.exists() else 0
        return Launch(name, self._spawn(name, log, arguments), log, size)

    def await_ready(self, launch: Launch) -> Service:
        """Wait until a launched service serves."""
        name, process = launch.name, launch.process
        self._wait(lambda: self.find(name) is not None or process.poll() is not None, READY_DEADLINE)
        if service := self.find(name):
            return service
        raise ProcessFailed(_why_not_ready(launch))

    def abandon(self, launch: Launch) -> None:
        """End what was launched, ready or not; it has begun nothing that needs more than a moment to end."""
        launch.process.terminate()
        if not self._wait(lambda: launch.process.poll() is not None, STOP_DEADLINE):
            launch.process.kill()
            launch.process.wait(KILL_DEADLINE)

    def await_running(self, name: ServiceName) -> Service:
        """Wait until a service that somebody else starts serves."""
        self._wait(lambda: self.find(name) is not None, READY_DEADLINE)
        if service := self.find(name):
            return service
        raise ProcessFailed(f"No {name} has come up within {READY_DEADLINE:.0f} s. `semo up` starts it.")

    def stop(self, service: Service, *, warn: Callable[[str], None]) -> None:
        """End a service: politely, and after 10 s by force; `warn` is told."""
        _signal(service, signal.SIGTERM)
        if not self._wait(lambda: self._is_gone(service), STOP_DEADLINE):
            warn(f"The {service.name} (pid {service.pid}) does not stop; killing it.")
            _signal(service, signal.SIGKILL)
            if not self._wait(lambda: self._is_gone(service), KILL_DEADLINE):
                raise ProcessFailed(f"The {service.name} (pid {service.pid}) can't be killed; end it by hand.")
        self.state.process_record(service.name).unlink(missing_ok=True)

    def reload(self, service: Service) -> None:
        """Have the agent look at once for offices that are new."""
        _signal(service, signal.SIGHUP)

    def _spawn(self, name: ServiceName, log: Path, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        argv = [*self.program, name, "--state-dir", str(self.state.path), *arguments]
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd="/",
                env=clean_environment(),
                start_new_session=True,
            )
        except OSError as err:
            raise ProcessFailed(f"The {name} can't be started: {err.strerror}.") from err
        finally:
            os.close(descriptor)
        self._children[name] = process
        return process

    def _is_gone(self, service: Service) -> bool:
        child = self._children.get(service.name)
        # A child of ours is gone when it has been waited for: before that it is a zombie.
        if child is not None and child.pid == service.pid:
            return child.poll() is not None
        return not service.is_alive()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether the condition came true in time."""
        deadline = self.monotonic() + seconds
        while not condition():
            if self.monotonic() >= deadline:
                return False
            self.sleep(_PAUSE)
        return True

    def _lock_of(self, name: ServiceName) -> Path:
        return (self.state.hub if name == "hub" else self.state.agent) / "lock"

    def _read_record(self, name: ServiceName) -> dict[str, object]:
        """The record of a service; one that is missing or damaged says nothing, as only the lock proves life."""
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
        return not _take(descriptor)
    finally:
        os.close(descriptor)


def clean_environment() -> dict[str, str]:
    """Our environment without what is secret: programs in terminals inherit it."""
    return {name: value for name, value in os.environ.items() if name not in _SECRET_VARIABLES}


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal(service: Service, number: signal.Signals) -> None:
    # Between the look and the signal the process may end; its pid is not given anew that quickly.
    if service.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(service.pid, number)


def _why_not_ready(launch: Launch) -> str:
    name, log, exit_status = launch.name, launch.log, launch.process.poll()
    if exit_status is None:
        return f"The {name} was not ready within {READY_DEADLINE:.0f} s; {log} says more."
    said = last_sentence(log, launch.log_offset)
    return said or f"The {name} ended at once (exit status {exit_status}); {log} says more."


def last_sentence(log: Path, offset: int) -> str | None:
    """The last error sentence that a process of ours wrote to its log after `offset` (bytes)."""
    with log.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").splitlines()
    sentences = [line.removeprefix(_SENTENCE_MARK) for line in lines if line.startswith(_SENTENCE_MARK)]
    return sentences[-1] if sentences else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
