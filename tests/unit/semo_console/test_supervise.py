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

from semo_console import supervise
from semo_console.births import birth_of
from semo_console.errors import Busy, ProcessFailed
from semo_console.supervise import Service, ServiceName, ServiceState, Supervisor, is_locked, last_sentence
from semo_office.locations import StateFolder

SERVICE = Path(__file__).with_name("service.py")


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state").prepare()


@pytest.fixture
def supervisor(state: StateFolder) -> Iterator[Supervisor]:
    supervisor = Supervisor(state, program=(sys.executable, str(SERVICE)))
    yield supervisor
    for name in supervisor.names:
        if service := supervisor.find(name):
            os.kill(service.pid, signal.SIGKILL)
            supervisor.stop(service, warn=lambda _: None)


def start(supervisor: Supervisor, name: ServiceName, *arguments: str) -> Service:
    """Launch a service and see it ready; what does not become ready is abandoned."""
    launch = supervisor.launch(name, *arguments)
    try:
        return supervisor.await_ready(launch)
    except ProcessFailed:
        supervisor.abandon(launch)
        raise


def refuse_warnings(sentence: str) -> None:
    raise AssertionError(sentence)


def test_a_started_service_is_found_until_it_is_stopped(supervisor: Supervisor) -> None:
    started = start(supervisor, "hub")
    assert supervisor.find("hub") == started
    assert started.url == "http://127.0.0.1:1"
    supervisor.stop(started, warn=refuse_warnings)
    assert supervisor.find("hub") is None
    assert birth_of(started.pid) is None


def test_a_record_of_a_dead_process_is_a_leftover_and_no_obstacle(supervisor: Supervisor, state: StateFolder) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    state.process_record("hub").write_text(json.dumps({"pid": dead.pid, "url": "http://127.0.0.1:9"}))
    assert supervisor.look("hub") is ServiceState.STOPPED
    assert start(supervisor, "hub").pid != dead.pid


def test_a_record_that_names_another_living_process_is_not_believed(supervisor: Supervisor, state: StateFolder) -> None:
    state.process_record("hub").write_text(json.dumps({"pid": os.getpid()}))
    assert supervisor.find("hub") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "12"}', "\udcff"])
def test_a_damaged_record_is_a_leftover(supervisor: Supervisor, state: StateFolder, content: str) -> None:
    state.process_record("agent").write_bytes(content.encode(errors="surrogateescape"))
    assert supervisor.look("agent") is ServiceState.STOPPED
    assert start(supervisor, "agent").is_alive()


def test_a_service_that_ends_at_once_fails_with_its_own_sentence(supervisor: Supervisor, state: StateFolder) -> None:
    with pytest.raises(ProcessFailed, match=r"^port 1 is in use: choose another with --port\.$"):
        start(supervisor, "hub", "fails")
    assert supervisor.look("hub") is ServiceState.STOPPED


def test_a_service_that_never_serves_is_ended_and_said_so(
    supervisor: Supervisor, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "READY_DEADLINE", 0.3)
    with pytest.raises(ProcessFailed, match="was not ready within"):
        start(supervisor, "hub", "silent")
    assert not is_locked(state.hub / "lock")


def test_a_service_without_a_record_is_still_starting(supervisor: Supervisor, state: StateFolder) -> None:
    with (state.hub / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert supervisor.look("hub") is ServiceState.STARTING
    assert supervisor.look("hub") is ServiceState.STOPPED


def test_a_service_that_does_not_stop_is_named_and_killed(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "STOP_DEADLINE", 0.2)
    service = start(supervisor, "hub", "deaf")
    warnings: list[str] = []
    supervisor.stop(service, warn=warnings.append)
    assert warnings == [f"The hub (pid {service.pid}) does not stop; killing it."]
    assert not service.is_alive()
    assert not supervisor.state.process_record("hub").exists()


def test_a_second_turn_waits_for_the_first(supervisor: Supervisor) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with supervisor.turn():
            order.append("second")

    with supervisor.turn():
        waiting = threading.Thread(target=second)
        waiting.start()
        assert entered.wait(5)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_a_turn_that_does_not_come_is_refused(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "TURN_DEADLINE", 0.1)
    with supervisor.turn(), pytest.raises(Busy, match="Another `semo up`"), supervisor.turn():
        pass


def test_secrets_of_the_environment_do_not_reach_a_service(
    supervisor: Supervisor, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMO_DATABASE_URL", "postgresql://me:secret@box/db")
    monkeypatch.setenv("SEMO_SUPABASE_KEY", "sb_secret_x")
    monkeypatch.setenv("SEMO_SUPABASE_URL", "http://127.0.0.1:1")
    start(supervisor, "hub")
    environment = json.loads(state.process_record("hub").read_text())["env"]
    assert "SEMO_DATABASE_URL" not in environment
    assert "sb_secret_x" not in environment.values()


def test_logs_are_for_their_owner_only(supervisor: Supervisor, state: StateFolder) -> None:
    start(supervisor, "hub")
    assert state.log_of("hub").stat().st_mode & 0o777 == 0o600


def test_only_sentences_of_this_start_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    log.write_text("semo: an old one\n")
    assert last_sentence(log, log.stat().st_size) is None
    assert last_sentence(log, 0) == "an old one"
