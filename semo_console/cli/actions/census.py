"""Every process of a state folder, whichever of them runs."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from semo_console.births import birth_of
from semo_console.cli.actions.holder import find_holder
from semo_console.supervise import ServiceName, ServiceState, Supervisor


@dataclass(frozen=True)
class ProcessStatus:
    """One process as an operator sees it."""

    name: str
    state: ServiceState
    pid: int | None = None
    url: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        fields: dict[str, JsonValue] = {"name": self.name, "pid": self.pid, "state": self.state}
        return fields if self.url is None else {**fields, "url": self.url}


def take_census(supervisor: Supervisor) -> list[ProcessStatus]:
    """Hub, its PostgreSQL, agent, and the holder of the terminals."""
    return [
        _service(supervisor, "hub"),
        _postgres(supervisor),
        _service(supervisor, "agent"),
        _holder(supervisor),
    ]


def _service(supervisor: Supervisor, name: ServiceName) -> ProcessStatus:
    if service := supervisor.find(name):
        return ProcessStatus(name, ServiceState.RUNNING, service.pid, service.url)
    return ProcessStatus(name, supervisor.look(name))


def _postgres(supervisor: Supervisor) -> ProcessStatus:
    pid = _first_number(supervisor.state.path / "postgres" / "data" / "postmaster.pid")
    # PostgreSQL is the hub's child and ends with it: without a hub the file is a leftover.
    alive = pid is not None and supervisor.find("hub") is not None and birth_of(pid) is not None
    return (
        ProcessStatus("postgres", ServiceState.RUNNING, pid)
        if alive
        else ProcessStatus("postgres", ServiceState.STOPPED)
    )


def _holder(supervisor: Supervisor) -> ProcessStatus:
    answer = find_holder(supervisor.state.agent)
    if answer is None:
        return ProcessStatus("holder", ServiceState.STOPPED)
    pid = answer.get("pid")
    return ProcessStatus("holder", ServiceState.RUNNING, pid if isinstance(pid, int) else None)


def _first_number(path: Path) -> int | None:
    try:
        first = path.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdecimal() else None
