"""`run/supervisor.json`: what the supervisor says of itself and its services, for `semo up`, `down` and `status`."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from semo_console.births import birth_of
from semo_console.processes import Process, Processes, ProcessName, ProcessState
from semo_office.locations import StateFolder


@dataclass(frozen=True)
class Exit:
    """How a service ended: `why` in words, `at` as in RFC 3339."""

    why: str
    at: str


@dataclass(frozen=True)
class ServiceRecord:
    """A service as its supervisor sees it. `ends`: how often it has ended; `next_try_at` as in RFC 3339."""

    name: ProcessName
    state: ProcessState
    pid: int | None = None
    birth: str | None = None
    restarts: int = 0
    ends: int = 0
    last_exit: Exit | None = None
    next_try_at: str | None = None


@dataclass(frozen=True)
class SupervisorRecord:
    """The whole record."""

    pid: int
    started_at: str
    services: list[ServiceRecord] = field(default_factory=list)

    def service(self, name: str) -> ServiceRecord | None:
        return next((service for service in self.services if service.name == name), None)


def read_supervisor_record(processes: Processes) -> SupervisorRecord | None:
    """What the supervisor that runs now says; None: none runs."""
    supervisor = processes.find("supervisor")
    record = _read(processes.state)
    return record if supervisor and record and record.pid == supervisor.pid else None


def left_behind(processes: Processes) -> list[Process]:
    """Services of a supervisor that was killed, which are about to end by themselves; the last started first."""
    record = None if processes.find("supervisor") else _read(processes.state)
    return [
        Process(service.name, service.pid, service.birth)
        for service in reversed(record.services if record else [])
        if service.pid is not None and service.birth is not None and birth_of(service.pid) == service.birth
    ]


def write_supervisor_record(state: StateFolder, record: SupervisorRecord) -> None:
    """Replace the record as a whole: a reader sees the old one or the new one."""
    path = state.process_record("supervisor")
    # mkstemp makes the file 0600, in the same folder so that the rename is atomic.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=2)
    Path(name).replace(path)


def _read(state: StateFolder) -> SupervisorRecord | None:
    try:
        content = json.loads(state.process_record("supervisor").read_bytes())
        return SupervisorRecord(content["pid"], content["started_at"], [_service(each) for each in content["services"]])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Missing or damaged, it says nothing: only the lock proves life.
        return None


def _service(content: Mapping[str, Any]) -> ServiceRecord:
    ended = content["last_exit"]
    return ServiceRecord(
        **{**content, "state": ProcessState(content["state"]), "last_exit": Exit(**ended) if ended else None}
    )
