"""A part of SEMO freezes or dies during a turn, and the agent lives on. `SEMO_FREEZE_S=60` freezes longer."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from semo_office.commands import CommandRepository
from semo_office.errors import ErrorCode
from semo_office.link.requests import DEADLINE_S
from semo_office.models import SessionStatus
from tests.acceptance.machine import VERB_DEADLINE, Machine, eventually, new_machine

pytestmark = pytest.mark.timeout(180)

FREEZE_S: Final = float(os.environ.get("SEMO_FREEZE_S", DEADLINE_S + 2.0))
"""By default longer than any request waits for its answer."""


def test_a_turn_that_ends_while_the_gateway_is_frozen_is_completed_for_who_waits(running: Machine) -> None:
    session = running.new_session()
    go, done = running.path / "go", running.path / "done"
    text = f"until [ -e {go} ]; do read -t 0.05 x; done; echo output; touch {done}"
    with running.begin("send", "--session", session, "--wait", text) as waiting:
        running.await_status(session, SessionStatus.EXECUTING)
        freeze_gateway_while(running, lambda: let_end(go, done))
        running.ask(lambda link: CommandRepository(link).expire_commands())
        out, err = waiting.communicate(timeout=VERB_DEADLINE)
    assert (waiting.returncode, out) == (0, b"output\n"), err
    assert running.result(running.send(session, "echo next"))["output"] == "next"


def freeze_gateway_while(machine: Machine, act: Callable[[], None]) -> None:
    """So long that every request is given up, and the lease of the agent has lapsed."""
    hub = machine.pid_of("hub")
    os.kill(hub, signal.SIGSTOP)
    try:
        act()
        machine.superuser("update leases set expires_at = now() - interval '1 s'")
        time.sleep(FREEZE_S)
    finally:
        os.kill(hub, signal.SIGCONT)


def let_end(go: Path, done: Path) -> None:
    go.touch()
    eventually(done.exists, "the turn has ended")


@pytest.mark.parametrize("terminal, backend", [("pty", "semo_agent.holder"), ("tmux", "tmux -u")])
def test_with_the_program_that_keeps_the_terminals_its_sessions_end_and_say_why(terminal: str, backend: str) -> None:
    with new_machine() as machine:
        machine.terminal = terminal
        machine.up()
        busy, idle = machine.new_session(), machine.new_session()
        agent = machine.pid_of("agent")
        turn = machine.send(busy, "sleep 100", wait=0)
        waiting = machine.send(busy, "echo never", wait=0)
        machine.await_status(busy, SessionStatus.EXECUTING)
        os.kill(pid_of_backend(machine, backend), signal.SIGKILL)
        for command in (turn.command.id, waiting.command.id):
            result = machine.outcome(command).result
            assert result is not None
            assert result.error is ErrorCode.SESSION_EXITED
        for session in (busy, idle):
            machine.await_status(session, SessionStatus.TERMINATED)
            assert machine.session(session).reason == f"{'holder' if terminal == 'pty' else 'tmux'} died"
        assert machine.pid_of("agent") == agent
        assert machine.result(machine.send(machine.new_session(), "echo again"))["output"] == "again"


def pid_of_backend(machine: Machine, backend: str) -> int:
    """Of the holder, or of the tmux server, which was there before its clients."""
    return min(pid for pid, command in machine.processes().items() if backend in command)
