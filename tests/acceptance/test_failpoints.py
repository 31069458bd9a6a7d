"""Wherever the agent dies or freezes on the way of a prompt: it arrives at most once, and what is certain is told.

`SEMO_FREEZE_S=60` freezes by the clock; else the lease is made to lapse, and what follows from that is done at once.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from semo_agent.failpoints import VARIABLE
from semo_office.commands import CommandRepository, Outcome
from semo_office.errors import ErrorCode
from semo_office.models import CreateSession
from tests.acceptance.machine import Machine, eventually, new_machine
from tests.acceptance.receivers import Receivers, sha256_of
from tests.iterm2_server.running import RunningITerm2

pytestmark = pytest.mark.timeout(180)

FREEZE_S: Final = float(os.environ.get("SEMO_FREEZE_S", "0"))
WAIT_S: Final = 40.0
TEXT: Final = "한글 🎉 " + "0123456789abcdef" * 512

NOT_BEGUN: Final = ["after_claim"]
UNKNOWN: Final = ["after_journal", "mid_paste", "after_paste"]
ENTERED: Final = ["after_enter", "during_turn", "after_turn"]


@dataclass(frozen=True)
class Failpoints:
    """A machine whose agent stops where a test says, with sessions that write down what they get."""

    machine: Machine
    folder: Path

    def session(self) -> str:
        request = CreateSession(profile="receiver", role="receiver")
        outcome = self.machine.dispatch(lambda office: office.dispatch_create_session(request, timeout=WAIT_S))
        self.machine.result(outcome)
        return str(outcome.command.session_id)

    def send_into(self, session: str, failpoint: str, action: str) -> UUID:
        """Send a prompt on whose way the agent stops; returns when it has."""
        (self.folder / failpoint).write_text(action)
        command = self.machine.send(session, TEXT, wait=0).command.id
        eventually((self.folder / f"{failpoint}.reached").exists, f"{failpoint} was reached", within=WAIT_S)
        (self.folder / f"{failpoint}.reached").unlink()
        return command

    def outcome(self, command: UUID) -> Outcome:
        return self.machine.dispatch(lambda office: office.wait_for_outcome(command, timeout=WAIT_S, until_input=False))

    def received(self, session: str) -> int:
        """How often the prompt arrived."""
        prompts = Receivers(self.machine).prompts(session)
        return [prompt.sha256 for prompt in prompts].count(sha256_of(TEXT))

    def takes_the_next_prompt(self, session: str) -> bool:
        self.machine.result(self.machine.send(session, "the next", wait=WAIT_S))
        return Receivers(self.machine).prompts(session)[-1].sha256 == sha256_of("the next")

    def let_the_lease_lapse(self) -> None:
        if FREEZE_S:
            time.sleep(FREEZE_S)
        else:
            self.machine.superuser("update leases set expires_at = now() - interval '1 s'")
        self.machine.ask(lambda link: CommandRepository(link).expire_commands())


@pytest.fixture(scope="module", params=["pty", "tmux", "iterm2"])
def failpoints(request: pytest.FixtureRequest) -> Iterator[Failpoints]:
    with ExitStack() as open_things:
        iterm2 = open_things.enter_context(RunningITerm2.start()) if request.param == "iterm2" else None
        machine = open_things.enter_context(new_machine())
        machine.terminal = request.param
        machine.variables |= iterm2.environment if iterm2 else {}
        folder = machine.path / "failpoints"
        folder.mkdir()
        machine.variables[VARIABLE] = str(folder)
        Receivers(machine).install()
        machine.up()
        yield Failpoints(machine, folder)


@pytest.mark.parametrize("failpoint", [*NOT_BEGUN, *UNKNOWN, *ENTERED])
def test_r3_after_a_kill_the_prompt_is_never_typed_again(failpoints: Failpoints, failpoint: str) -> None:
    session = failpoints.session()
    command = failpoints.send_into(session, failpoint, "kill")
    failpoints.machine.up()
    result = failpoints.outcome(command).result
    assert result is not None
    if failpoint in UNKNOWN:
        assert (result.error, failpoints.received(session)) == (ErrorCode.INDETERMINATE, 0)
    else:
        assert (result.error, failpoints.received(session)) == (None, 1)
    assert failpoints.takes_the_next_prompt(session)


@pytest.mark.parametrize("failpoint", [*NOT_BEGUN, *UNKNOWN, *ENTERED])
def test_after_a_freeze_longer_than_the_lease_the_prompt_arrives_once(failpoints: Failpoints, failpoint: str) -> None:
    session = failpoints.session()
    command = failpoints.send_into(session, failpoint, "stop")
    agent = failpoints.machine.pid_of("agent")
    try:
        failpoints.let_the_lease_lapse()
    finally:
        os.kill(agent, signal.SIGCONT)
    result = failpoints.outcome(command).result
    assert result is not None
    assert (result.error, failpoints.received(session)) == (None, 1)
    assert failpoints.takes_the_next_prompt(session)
