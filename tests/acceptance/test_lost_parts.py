"""A part of SEMO freezes or dies during a turn, and the agent lives on. `SEMO_FREEZE_S=60` freezes by the clock."""

import os
import signal
import time
from typing import Final

import pytest

from semo_office.commands import CommandRepository
from semo_office.errors import ErrorCode
from semo_office.models import SessionStatus
from tests.acceptance.machine import Machine, eventually

pytestmark = pytest.mark.timeout(180)

FREEZE_S: Final = float(os.environ.get("SEMO_FREEZE_S", "0"))


def test_a_turn_that_ends_while_the_gateway_is_frozen_is_completed(running: Machine) -> None:
    session = running.new_session()
    go, done = running.path / "go", running.path / "done"
    turn = running.send(session, f"until [ -e {go} ]; do read -t 0.05 x; done; echo output; touch {done}", wait=0)
    running.await_status(session, SessionStatus.EXECUTING)
    hub = running.pid_of("hub")
    os.kill(hub, signal.SIGSTOP)
    try:
        go.touch()
        eventually(done.exists, "the turn has ended")
        running.superuser("update leases set expires_at = now() - interval '1 s'")
        time.sleep(FREEZE_S)
    finally:
        os.kill(hub, signal.SIGCONT)
    running.ask(lambda link: CommandRepository(link).expire_commands())
    assert running.result(running.outcome(turn.command.id))["output"] == "output"
    assert running.result(running.send(session, "echo next"))["output"] == "next"


def test_with_the_program_that_keeps_the_terminals_its_sessions_end_and_say_why(running: Machine) -> None:
    busy, idle = running.new_session(), running.new_session()
    agent = running.pid_of("agent")
    turn = running.send(busy, "sleep 100", wait=0)
    waiting = running.send(busy, "echo never", wait=0)
    running.await_status(busy, SessionStatus.EXECUTING)
    [holder] = [pid for pid, command in running.processes().items() if "semo_agent.holder" in command]
    os.kill(holder, signal.SIGKILL)
    for command in (turn.command.id, waiting.command.id):
        result = running.outcome(command).result
        assert result is not None
        assert result.error is ErrorCode.SESSION_EXITED
    for session in (busy, idle):
        running.await_status(session, SessionStatus.TERMINATED)
        assert running.session(session).reason == "holder died"
    assert running.pid_of("agent") == agent
