import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from semo_console import processes as processes_module
from semo_console.background import Background, last_sentence, start_in_background
from semo_console.births import birth_of
from semo_console.errors import Busy
from semo_console.processes import Process, Processes, ProcessName, ProcessState
from semo_office.locations import StateFolder

SERVICE = Path(__file__).parents[2] / "programs" / "service.py"
NAMES: tuple[ProcessName, ...] = ("hub", "agent")


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state").prepare()


@pytest.fixture
def processes(state: StateFolder) -> Iterator[Processes]:
    processes = Processes(state)
    yield processes
    for name in NAMES:
        if process := processes.find(name):
            os.kill(process.pid, signal.SIGKILL)
            assert processes.wait(lambda: not process.is_alive(), 20)  # called at once


def launch(processes: Processes, name: ProcessName, behaviour: str = "") -> Background:
    argv = [sys.executable, str(SERVICE), name, "--state-dir", str(processes.state.path), *filter(None, [behaviour])]
    return start_in_background(argv, processes.state.log_of(name))


def start(processes: Processes, name: ProcessName, behaviour: str = "") -> Process:
    """Launch a service and see it ready; the system waits for it as it would for a stranger's."""
    background = launch(processes, name, behaviour)
    threading.Thread(target=background.process.wait, daemon=True).start()
    return processes.await_running(name)


def refuse_warnings(sentence: str) -> None:
    raise AssertionError(sentence)


def test_a_started_service_is_found_until_it_is_stopped(processes: Processes) -> None:
    started = start(processes, "hub")
    assert processes.find("hub") == started
    assert started.url == "http://127.0.0.1:1"
    processes.stop(started, warn=refuse_warnings)
    assert processes.find("hub") is None
    assert birth_of(started.pid) is None


def test_a_record_of_a_dead_process_is_a_leftover_and_no_obstacle(processes: Processes, state: StateFolder) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    state.process_record("hub").write_text(json.dumps({"pid": dead.pid, "url": "http://127.0.0.1:9"}))
    assert processes.look("hub") is ProcessState.STOPPED
    assert start(processes, "hub").pid != dead.pid


def test_a_record_that_names_another_living_process_is_not_believed(processes: Processes, state: StateFolder) -> None:
    state.process_record("hub").write_text(json.dumps({"pid": os.getpid()}))
    assert processes.find("hub") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "12"}', "\udcff"])
def test_a_damaged_record_is_a_leftover(processes: Processes, state: StateFolder, content: str) -> None:
    state.process_record("agent").write_bytes(content.encode(errors="surrogateescape"))
    assert processes.look("agent") is ProcessState.STOPPED
    assert start(processes, "agent").is_alive()


def test_what_a_program_said_last_is_known(processes: Processes) -> None:
    background = launch(processes, "hub", "fails")
    assert background.process.wait(20) == 1
    assert background.last_sentence() == "port 1 is in use: choose another with --port."


def test_a_service_without_a_record_is_still_starting(processes: Processes, state: StateFolder) -> None:
    with (state.hub / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert processes.look("hub") is ProcessState.STARTING
    assert processes.look("hub") is ProcessState.STOPPED


def test_a_service_that_does_not_stop_is_named_and_killed(processes: Processes) -> None:
    service = start(processes, "hub", "deaf")
    warnings: list[str] = []
    processes.stop(service, warn=warnings.append, patience=0.2)
    assert warnings == [f"The hub (pid {service.pid}) does not stop; killing it."]
    assert not service.is_alive()
    assert not processes.state.process_record("hub").exists()


def test_a_second_turn_waits_for_the_first(processes: Processes) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with processes.turn():
            order.append("second")

    with processes.turn():
        waiting = threading.Thread(target=second)
        waiting.start()
        assert entered.wait(5)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_a_turn_that_does_not_come_is_refused(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes_module, "TURN_DEADLINE", 0.1)
    with processes.turn(), pytest.raises(Busy, match="Another `semo up`"), processes.turn():
        pass


def test_secrets_of_the_environment_do_not_reach_a_service(
    processes: Processes, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMO_DATABASE_URL", "postgresql://me:secret@box/db")
    monkeypatch.setenv("SEMO_SUPABASE_KEY", "sb_secret_x")
    monkeypatch.setenv("SEMO_SUPABASE_URL", "http://127.0.0.1:1")
    start(processes, "hub")
    environment = json.loads(state.process_record("hub").read_text())["env"]
    assert "SEMO_DATABASE_URL" not in environment
    assert "sb_secret_x" not in environment.values()


def test_logs_are_for_their_owner_only(processes: Processes, state: StateFolder) -> None:
    start(processes, "hub")
    assert state.log_of("hub").stat().st_mode & 0o777 == 0o600


def test_only_sentences_of_this_start_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    log.write_text("semo: an old one\n")
    assert last_sentence(log, log.stat().st_size) is None
    assert last_sentence(log, 0) == "an old one"
