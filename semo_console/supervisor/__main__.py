"""`python -m semo_console.supervisor DIR -- NAME ARGUMENT… -- NAME ARGUMENT…`: run these services of a state folder.

`semo up` starts it. Only light modules are imported here: it must be there at once, and it stays for long.
"""

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from semo_console.background import Background, start_in_background
from semo_console.errors import ConsoleError, ProcessFailed
from semo_console.processes import Processes, take_lock
from semo_console.supervisor.backoff import Backoff
from semo_console.supervisor.lifeline import OPTION, open_lifeline
from semo_console.supervisor.news import SignalNews
from semo_console.supervisor.record import ServiceRecord, SupervisorRecord, left_behind, write_supervisor_record
from semo_console.supervisor.service import Clocks, Plan, Service
from semo_console.supervisor.supervision import Supervision
from semo_office.locations import StateFolder

PLANS: dict[str, Plan] = {
    "hub": Plan("hub", "hub"),
    "agent": Plan("agent", "agent", needs=("hub",)),
    # The others are there sooner when it does not load its libraries at the same time.
    "server": Plan("server", "serve", after=("hub", "agent")),
}
PROGRAM = (sys.executable, "-P", "-m", "semo_console")

_SEPARATOR = "--"
_LOCK_DEADLINE = 1.0  # s, while somebody only looks whether we run


def main(arguments: Sequence[str], program: Sequence[str] = PROGRAM) -> int:
    """Exit status 0 after a stop; 1 when it could not run, with one sentence on stderr."""
    folder, *commands = _split(arguments)
    try:
        supervise(StateFolder(Path(folder[0])), [_plan(command) for command in commands], program)
    except ConsoleError as err:
        sys.stderr.write(f"semo: {err}\n")
        return 1
    return 0


def supervise(state: StateFolder, plans: Sequence[Plan], program: Sequence[str]) -> None:
    """Keep the services running until SIGTERM. Raises ProcessFailed when another supervisor runs here."""
    processes = Processes(state)
    with _only_supervisor(processes):
        _await_left_behind(processes)
        news = SignalNews()
        clocks = Clocks(time.monotonic, lambda: datetime.now(UTC))
        launcher = _Launcher(state, program)
        supervision = Supervision(
            [Service(plan, processes, launcher, Backoff(random.random), clocks) for plan in plans],
            news,
            monotonic=time.monotonic,
            publish=_Publisher(state),
            say=_say,
        )
        supervision.run()
        processes.forget("supervisor")


class _Launcher:
    """Starts `semo NAME` in the background; it ends when we do."""

    def __init__(self, state: StateFolder, program: Sequence[str]) -> None:
        self._state = state
        self._program = program
        self._lifeline = open_lifeline()

    def __call__(self, plan: Plan, arguments: Sequence[str]) -> Background:
        own = (plan.verb, "--state-dir", str(self._state.path), OPTION, str(self._lifeline))
        return start_in_background(
            [*self._program, *own, *arguments], self._state.log_of(plan.name), inherit=[self._lifeline]
        )


class _Publisher:
    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")

    def __call__(self, services: list[ServiceRecord]) -> None:
        write_supervisor_record(self._state, SupervisorRecord(os.getpid(), self._started_at, services))


def _await_left_behind(processes: Processes) -> None:
    """A killed supervisor's services end by themselves; ours must not meet them."""
    for left in left_behind(processes):
        processes.stop(left, warn=_warn)


def _warn(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


@contextlib.contextmanager
def _only_supervisor(processes: Processes) -> Iterator[None]:
    """Hold the lock; the kernel lets go of it however we end."""
    descriptor = os.open(processes.lock_of("supervisor"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not processes.wait(lambda: take_lock(descriptor), _LOCK_DEADLINE):
            raise ProcessFailed(f"A supervisor runs for {processes.state.path} already; `semo status` shows it.")
        yield
    finally:
        os.close(descriptor)


def _split(arguments: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for argument in arguments:
        if argument == _SEPARATOR:
            groups.append([])
        else:
            groups[-1].append(argument)
    return groups


def _plan(command: Sequence[str]) -> Plan:
    name, *arguments = command
    if name not in PLANS:
        raise ProcessFailed(f"There is no service {name}.")
    return replace(PLANS[name], arguments=tuple(arguments))


def _say(event: str, service: ServiceRecord) -> None:
    """A line of the log, in the format of all logs."""
    fields = {
        "service": service.name,
        "pid": service.pid,
        "restarts": service.restarts,
        "why": service.last_exit.why if service.last_exit else None,
        "event": event,
        "level": "info",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    sys.stderr.write(json.dumps({name: value for name, value in fields.items() if value is not None}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
