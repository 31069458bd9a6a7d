import fcntl
import os
from pathlib import Path

import pytest

from semo_console.processes import Processes, ProcessState
from semo_console.supervisor.record import (
    Exit,
    ServiceRecord,
    SupervisorRecord,
    left_behind,
    read_supervisor_record,
    write_supervisor_record,
)
from semo_office.locations import StateFolder

RECORD = SupervisorRecord(
    os.getpid(),
    "2026-01-01T00:00:00+00:00",
    [ServiceRecord("hub", ProcessState.BACKING_OFF, restarts=2, ends=3, last_exit=Exit("ended by SIGKILL", "now"))],
)


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(StateFolder(tmp_path / "state").prepare())


def test_a_record_is_read_as_it_was_written_while_its_supervisor_lives(processes: Processes) -> None:
    write_supervisor_record(processes.state, RECORD)
    with processes.lock_of("supervisor").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert read_supervisor_record(processes) == RECORD
    assert read_supervisor_record(processes) is None


def test_a_record_is_for_its_owner_only(processes: Processes) -> None:
    write_supervisor_record(processes.state, RECORD)
    assert processes.state.process_record("supervisor").stat().st_mode & 0o777 == 0o600


def test_what_was_left_behind_is_what_has_the_same_pid_and_birth(processes: Processes) -> None:
    services = [ServiceRecord("hub", ProcessState.RUNNING, os.getpid(), birth="another time")]
    write_supervisor_record(processes.state, SupervisorRecord(1, "", services))
    assert left_behind(processes) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1, "started_at": "", "services": [{"name": "hub"}]}'])
def test_a_damaged_record_says_nothing(processes: Processes, content: str) -> None:
    processes.state.process_record("supervisor").write_text(content)
    assert left_behind(processes) == []
