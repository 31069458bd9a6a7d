"""Sessions in tmux: `semo up --terminal tmux`."""

import os
import signal
from collections.abc import Iterator

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.machine import Machine, eventually, new_machine


@pytest.fixture(scope="module")
def running() -> Iterator[Machine]:
    with new_machine() as machine:
        machine.terminal = "tmux"
        machine.up()
        yield machine


def tmux_pid(machine: Machine) -> int | None:
    census = machine.semo("status", "--json").json["processes"]
    return next((process["pid"] for process in census if process["name"] == "tmux"), None)


def test_a_prompt_is_answered_and_status_names_tmux(running: Machine) -> None:
    assert running.semo("send", "--wait", "echo 안녕").out == "안녕\n"
    assert running.semo("status", "--json").json["terminal"] == "tmux"
    assert "tmux       running" in running.semo("status").out
    pid = tmux_pid(running)
    assert pid is not None
    assert str(running.path) in running.processes()[pid]


def test_a_turn_goes_on_while_everything_else_is_down(running: Machine) -> None:
    session = running.new_session()
    go, done = running.path / "go", running.path / "done"
    turn = running.send(session, f"until [ -e {go} ]; do read -t 0.05 x; done; seq 3; touch {done}", wait=0)
    running.await_status(session, SessionStatus.EXECUTING)
    assert running.semo("down").code == 0
    go.touch()
    eventually(done.exists, "the turn has ended")
    assert running.semo("up", "--terminal", "pty").refused_with("2 sessions live in tmux", "--terminal tmux")
    running.up()
    assert running.result(running.outcome(turn.command.id))["output"] == "1\n2\n3"
    assert running.result(running.send(session, "echo next"))["output"] == "next"


def test_with_tmux_its_sessions_end_and_say_why_and_a_new_one_works(running: Machine) -> None:
    session = running.new_session()
    agent = running.pid_of("agent")
    pid = tmux_pid(running)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    running.await_status(session, SessionStatus.TERMINATED)
    assert running.session(session).reason == "tmux died"
    assert running.result(running.send(running.new_session(), "echo again"))["output"] == "again"
    assert running.pid_of("agent") == agent


def test_end_sessions_leaves_no_process_also_without_an_agent(running: Machine) -> None:
    running.new_session()
    assert running.semo("down").code == 0
    assert running.semo("down", "--end-sessions", "--json").json["ended_sessions"]
    assert running.processes() == {}
