"""The supervisor as `semo up` and `semo down` deal with it."""

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from semo_console.background import Background, start_in_background
from semo_console.errors import ProcessFailed
from semo_console.processes import (
    KILL_DEADLINE,
    READY_DEADLINE,
    STOP_DEADLINE,
    Process,
    Processes,
    ProcessName,
    ProcessState,
)
from semo_console.supervisor.record import ServiceRecord, read_supervisor_record

PROGRAM = (sys.executable, "-P", "-m", "semo_console.supervisor")

_SERVICES = 3
STOP_ALL_DEADLINE = _SERVICES * (STOP_DEADLINE + KILL_DEADLINE) + KILL_DEADLINE
"""s for a supervisor to stop: each of its services may need force."""


@dataclass
class SupervisorClient:
    """One supervisor, just started by us or found. Only while `Processes.turn` is ours. Raises ProcessFailed."""

    processes: Processes
    _started: Background | None = None
    _found: Process | None = None
    _ends_before: dict[ProcessName, int] = field(default_factory=dict)

    @classmethod
    def start(
        cls, processes: Processes, commands: Sequence[Sequence[str]], program: Sequence[str] = PROGRAM
    ) -> "SupervisorClient":
        """Start one that runs these services, each by its name and arguments."""
        argv = [*program, str(processes.state.path)]
        for command in commands:
            argv += ["--", *command]
        return cls(processes, _started=start_in_background(argv, processes.state.log_of("supervisor")))

    @classmethod
    def join(cls, processes: Processes, found: Process) -> "SupervisorClient":
        """Have the one that runs try at once what it would try later."""
        record = read_supervisor_record(processes)
        # What was up may have died just now: that end is not one of a start that we asked for.
        ends = {service.name: service.ends + (service.pid is not None) for service in record.services} if record else {}
        found.signal(signal.SIGHUP)
        return cls(processes, _found=found, _ends_before=ends)

    def await_running(self, name: ProcessName) -> Process:
        """Wait until a service serves; its own sentence when it ends instead."""
        self.processes.wait(lambda: self._has_come_or_failed(name), READY_DEADLINE)
        if service := self._running(name):
            return service
        raise ProcessFailed(self._why_not(name))

    def abandon(self) -> None:
        """Stop the one that we have started, with all that it has started."""
        if self._started is None:
            return
        process = self._started.process
        process.terminate()
        if not self.processes.wait(lambda: process.poll() is not None, STOP_ALL_DEADLINE):
            process.kill()
            process.wait(KILL_DEADLINE)

    def _has_come_or_failed(self, name: ProcessName) -> bool:
        return self._running(name) is not None or self._failed(name) is not None or not self._is_alive()

    def _running(self, name: ProcessName) -> Process | None:
        """The service that its supervisor calls running: another may be one that is about to end with a killed one."""
        record = read_supervisor_record(self.processes)
        service = record.service(name) if record else None
        found = self.processes.find(name)
        return (
            found if found and service and (service.state, service.pid) == (ProcessState.RUNNING, found.pid) else None
        )

    def _is_alive(self) -> bool:
        if self._started:
            return self._started.process.poll() is None
        return self._found is not None and self._found.is_alive()

    def _failed(self, name: ProcessName) -> ServiceRecord | None:
        """The service, if a start of it has failed since we came and it does not run."""
        record = read_supervisor_record(self.processes)
        service = record.service(name) if record else None
        if service is None or service.ends <= self._ends_before.get(name, 0):
            return None
        return None if service.state is ProcessState.RUNNING else service

    def _why_not(self, name: ProcessName) -> str:
        log = self.processes.state.log_of(name)
        failed = self._failed(name)
        if failed and failed.last_exit:
            why = failed.last_exit.why
            return why if why.endswith(".") else f"The {name} {why}; {log} says more."
        if self._is_alive():
            return f"The {name} was not ready within {READY_DEADLINE:.0f} s; {log} says more."
        said = self._started.last_sentence() if self._started else None
        return said or f"The supervisor has ended; {self.processes.state.log_of('supervisor')} says more."


def stop_supervisor(processes: Processes, found: Process, *, warn: Callable[[str], None]) -> None:
    """Stop it, and with it the services that it started: the last started first."""
    processes.stop(found, warn=warn, patience=STOP_ALL_DEADLINE)
