"""Every process of a state folder, whichever of them runs."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.holder import find_holder
from semo_console.cli.actions.leftover import find_postmaster
from semo_console.cli.actions.tmux import find_tmux
from semo_console.processes import Processes, ProcessName, ProcessState
from semo_console.supervisor.record import ServiceRecord, read_supervisor_record


@dataclass(frozen=True)
class ProcessStatus:
    """One process as an operator sees it; `supervised`: what its supervisor knows of it."""

    name: str
    state: ProcessState
    pid: int | None = None
    url: str | None = None
    supervised: ServiceRecord | None = None

    def to_json(self) -> dict[str, JsonValue]:
        fields: dict[str, JsonValue] = {"name": self.name, "pid": self.pid, "state": self.state}
        if self.url is not None:
            fields["url"] = self.url
        if self.supervised is not None:
            ended = self.supervised.last_exit
            fields["restarts"] = self.supervised.restarts
            fields["last_exit"] = {"why": ended.why, "at": ended.at} if ended else None
            fields["next_try_at"] = self.supervised.next_try_at
        return fields


def take_census(processes: Processes) -> list[ProcessStatus]:
    """Supervisor, hub, its PostgreSQL, agent, the holder of the terminals, our tmux and a server where they run."""
    record = read_supervisor_record(processes)
    return [
        _process(processes, "supervisor", None),
        _process(processes, "hub", record.service("hub") if record else None),
        _postgres(processes),
        _process(processes, "agent", record.service("agent") if record else None),
        *_server(processes, record.service("server") if record else None),
        _holder(processes.state.agent),
        *_tmux(processes.state.agent),
    ]


def _process(processes: Processes, name: ProcessName, supervised: ServiceRecord | None) -> ProcessStatus:
    if found := processes.find(name):
        return ProcessStatus(name, ProcessState.RUNNING, found.pid, found.url, supervised)
    if supervised is None:
        return ProcessStatus(name, processes.look(name))
    # Without its own record it does not serve, whatever its supervisor saw last.
    state = ProcessState.STARTING if supervised.state is ProcessState.RUNNING else supervised.state
    return ProcessStatus(name, state, supervised.pid, None, supervised)


def _server(processes: Processes, supervised: ServiceRecord | None) -> list[ProcessStatus]:
    """Named only where it is wanted or runs: another machine may have it."""
    status = _process(processes, "server", supervised)
    return [] if supervised is None and status.state is ProcessState.STOPPED else [status]


def _postgres(processes: Processes) -> ProcessStatus:
    # PostgreSQL is the hub's child and ends with it: without a hub the file is a leftover.
    pid = find_postmaster(processes.state) if processes.find("hub") else None
    return ProcessStatus("postgres", ProcessState.RUNNING if pid else ProcessState.STOPPED, pid)


def _holder(folder: Path) -> ProcessStatus:
    answer = find_holder(folder)
    if answer is None:
        return ProcessStatus("holder", ProcessState.STOPPED)
    pid = answer.get("pid")
    return ProcessStatus("holder", ProcessState.RUNNING, pid if isinstance(pid, int) else None)


def _tmux(folder: Path) -> list[ProcessStatus]:
    """Named only where it runs: a host with another terminal has none."""
    pid = find_tmux(folder)
    return [ProcessStatus("tmux", ProcessState.RUNNING, pid)] if pid else []
