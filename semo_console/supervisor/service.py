"""One service of the supervisor: its program while it runs, and how the last one ended."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from semo_console.background import Background
from semo_console.births import birth_of
from semo_console.errors import ProcessFailed
from semo_console.processes import Process, Processes, ProcessName, ProcessState
from semo_console.supervisor.backoff import Backoff
from semo_console.supervisor.record import Exit, ServiceRecord

SUPERSEDED_STATUS = 3
"""How a service ends when another took its place: starting it again would only take the place back."""


@dataclass(frozen=True)
class Plan:
    """What a service is: `semo VERB ARGUMENT…`.

    It starts together with what it `needs` or later, and once all that it comes `after` serves.
    """

    name: ProcessName
    verb: str
    arguments: tuple[str, ...] = ()
    needs: tuple[ProcessName, ...] = ()
    after: tuple[ProcessName, ...] = ()


class Launcher(Protocol):
    """Starts the program of a service. Raises ProcessFailed."""

    def __call__(self, plan: Plan, arguments: Sequence[str]) -> Background: ...


@dataclass(frozen=True)
class Clocks:
    """`monotonic` in s, `now` with its time zone."""

    monotonic: Callable[[], float]
    now: Callable[[], datetime]


class Service:
    """Is started, watched and stopped; decides by itself when to try again, never whether its needs are met."""

    def __init__(self, plan: Plan, processes: Processes, launch: Launcher, backoff: Backoff, clocks: Clocks) -> None:
        self.plan = plan
        self._processes = processes
        self._launch = launch
        self._backoff = backoff
        self._clocks = clocks
        self._arguments = plan.arguments
        self._own: Background | None = None
        self._birth: str | None = None
        self._joined: Process | None = None
        self._serves = False
        self._began = clocks.monotonic()
        self._starts = self._ends = 0
        self._last_exit: Exit | None = None
        self._next_try: float | None = self._began

    @property
    def name(self) -> ProcessName:
        return self.plan.name

    @property
    def state(self) -> ProcessState:
        if self._joined or (self._own and self._serves):
            return ProcessState.RUNNING
        if self._own:
            return ProcessState.STARTING
        return ProcessState.STOPPED if self._next_try is None else ProcessState.BACKING_OFF

    @property
    def is_up(self) -> bool:
        """Whether it runs or is starting."""
        return self._own is not None or self._joined is not None

    @property
    def is_joined(self) -> bool:
        """Whether somebody else started it; then nobody tells us of its end."""
        return self._joined is not None

    @property
    def starting_for(self) -> float | None:
        """s since the start, while it does not serve yet."""
        return self._clocks.monotonic() - self._began if self._own and not self._serves else None

    @property
    def next_try_in(self) -> float | None:
        """s until it may be started; None: it may not."""
        if self.is_up or self._next_try is None:
            return None
        return max(0.0, self._next_try - self._clocks.monotonic())

    def hurry(self) -> None:
        """Try at once, however it ended before."""
        self._next_try = self._clocks.monotonic()

    def start(self) -> None:
        """Start it, or join the one that somebody else has started."""
        self._joined = self._processes.find(self.name)
        if self._joined:
            return
        self._processes.forget(self.name)
        self._began, self._serves = self._clocks.monotonic(), False
        self._starts += 1
        try:
            self._own = self._launch(self.plan, self._arguments)
        except ProcessFailed as err:
            self._note_end(str(err))
        else:
            self._birth = birth_of(self._own.process.pid)

    def look(self) -> None:
        """Notice that it serves, or that it has ended."""
        if self._joined and not self._joined.is_alive():
            self._joined = None
            self.hurry()
        if self._own is None:
            return
        status = self._own.process.poll()
        if status is not None:
            own, self._own = self._own, None
            self._note_end(_why(status, own), superseded=status == SUPERSEDED_STATUS)
        elif not self._serves:
            self._see_serving(self._own.process.pid)

    def send(self, number: signal.Signals) -> None:
        """Signal our own program; one that was joined is not ours to end."""
        if self._own:
            self._own.process.send_signal(number)

    @property
    def is_ours(self) -> bool:
        """Whether our own program runs; only after `look` it is known that it does not."""
        return self._own is not None

    def rest(self) -> None:
        """Start it no more."""
        self._next_try = None
        if not self.is_joined:
            self._processes.forget(self.name)

    def record(self) -> ServiceRecord:
        wait = self.next_try_in
        return ServiceRecord(
            self.name,
            self.state,
            pid=self._own.process.pid if self._own else self._joined.pid if self._joined else None,
            birth=self._birth if self._own else None,
            restarts=max(0, self._starts - 1),
            ends=self._ends,
            last_exit=self._last_exit,
            next_try_at=None if not wait else _text(self._clocks.now() + timedelta(seconds=wait)),
        )

    def _see_serving(self, pid: int) -> None:
        found = self._processes.find(self.name)
        self._serves = found is not None and found.pid == pid
        if self._serves and found and found.url:
            # Whoever knows its address must find it there again: a free port is chosen only once.
            self._arguments = at_port(self.plan.arguments, found.url.rpartition(":")[2])

    def _note_end(self, why: str, *, superseded: bool = False) -> None:
        self._ends += 1
        self._last_exit = Exit(why, _text(self._clocks.now()))
        now = self._clocks.monotonic()
        self._next_try = None if superseded else now + self._backoff.after(now - self._began)


def at_port(arguments: Sequence[str], port: str) -> tuple[str, ...]:
    """The same arguments with this value of `--port`, where there is one."""
    values = {index + 1 for index, argument in enumerate(arguments) if argument == "--port"}
    return tuple(port if index in values else argument for index, argument in enumerate(arguments))


def _why(status: int, ended: Background) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    sentence = ended.last_sentence() if status else None
    if status == SUPERSEDED_STATUS:
        return f"superseded: {sentence}" if sentence else "superseded"
    return sentence or f"ended with exit status {status}"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
