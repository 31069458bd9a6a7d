"""What the agent may rely on, held against the real office and against the one in memory that other tests use."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from semo_agent.errors import ClaimLost
from semo_agent.lease import Lease
from semo_agent.office import Claim, LinkedOffice, Office, Verdict
from semo_agent.stopping import Stop
from semo_office.errors import ErrorCode
from semo_office.models import SendPrompt, SessionReport, SessionStatus, Stage
from tests.integration.agent.recording_office import RecordingOffice
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import READY, party_on, token_of


@dataclass(frozen=True)
class Case:
    """An office with a ready session and a prompt for it that this agent has claimed."""

    office: Office
    session_id: UUID
    claim: Claim
    result: Callable[[], Awaitable[ErrorCode | str | None]]
    """The prompt's result: its error, "done", or None before it has one."""

    async def status(self) -> SessionStatus:
        row = await self.office.session(self.session_id)
        assert row is not None
        return row.status


@pytest.fixture(params=["recorded", "linked"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "recorded":
        yield await _recorded()
        return
    hub: RunningHub = request.getfixturevalue("hub")
    async with party_on(hub) as party:
        session_id = await party.new_session()
        command = await party.operator.commands.create_command(party.prompt(session_id, "echo"))
        await party.claim_one()
        claimed = await party.host.commands.get_command(command.id)
        assert claimed is not None

        async def result() -> ErrorCode | str | None:
            found = await party.operator.commands.get_command_result(command.id)
            return None if found is None else found.error or "done"

        office = LinkedOffice(
            party.host.commands,
            party.host.sessions,
            host_id=party.host_id,
            instance=party.instance,
            stop=Stop(),
            random=random.random,
            claimable=lambda: None,
            lease=Lease(time.monotonic, time.time),
            slept=lambda: 0.0,
        )
        yield Case(office, session_id, Claim(command.id, token_of(claimed)), result)


async def _recorded() -> Case:
    office = RecordingOffice()
    row = office.write_session("/repo")
    await office.report_session(row.session_id, READY)
    command = office.write(row.session_id, SendPrompt(prompt="echo"))

    async def result() -> ErrorCode | str | None:
        verdict = office.commands[command.id].verdict
        return None if verdict is None else verdict.error or "done"

    return Case(office, row.session_id, Claim(command.id, token_of(command)), result)


async def test_an_accepted_prompt_makes_its_session_executing(case: Case) -> None:
    await case.office.report_stage(case.claim, Stage.TYPED, {"bytes": 4})
    assert await case.status() is SessionStatus.READY
    await case.office.report_stage(case.claim, Stage.ACCEPTED, {"mark": "C"})
    assert await case.status() is SessionStatus.EXECUTING


async def test_a_step_may_be_reported_again(case: Case) -> None:
    for _ in range(2):
        await case.office.report_stage(case.claim, Stage.TYPED, {"bytes": 4})
    assert await case.result() is None


async def test_a_result_comes_with_the_state_of_the_session(case: Case) -> None:
    await case.office.report_stage(case.claim, Stage.ACCEPTED, {})
    assert await case.office.complete(case.claim, Verdict(result={"output": "x"}), READY)
    assert await case.result() == "done"
    assert await case.status() is SessionStatus.READY


async def test_only_the_first_result_counts(case: Case) -> None:
    await case.office.complete(case.claim, Verdict(error=ErrorCode.TIMEOUT, message="late"))
    asks = SessionReport(status=SessionStatus.WAITING_INPUT, status_source="test")
    assert not await case.office.complete(case.claim, Verdict(result={}), asks)
    assert await case.result() is ErrorCode.TIMEOUT
    assert await case.status() is SessionStatus.READY


async def test_a_foreign_claim_changes_nothing(case: Case) -> None:
    foreign = Claim(case.claim.command_id, uuid4())
    with pytest.raises(ClaimLost):
        await case.office.report_stage(foreign, Stage.TYPED, {})
    with pytest.raises(ClaimLost):
        await case.office.complete(foreign, Verdict(result={}))
    assert await case.result() is None


async def test_a_finished_command_takes_no_more_steps(case: Case) -> None:
    await case.office.complete(case.claim, Verdict(result={}))
    with pytest.raises(ClaimLost):
        await case.office.report_stage(case.claim, Stage.ACCEPTED, {})


async def test_a_new_state_takes_its_reason_with_it(case: Case) -> None:
    asks = SessionReport(status=SessionStatus.WAITING_INPUT, status_source="test", reason="it asks")
    await case.office.report_session(case.session_id, asks)
    await case.office.report_session(case.session_id, READY)
    row = await case.office.session(case.session_id)
    assert row is not None
    assert row.reason is None


async def test_an_ended_session_does_not_come_back(case: Case) -> None:
    ended = SessionReport(status=SessionStatus.TERMINATED, status_source="test", exit_status=3)
    await case.office.report_session(case.session_id, ended)
    with pytest.raises(ClaimLost):
        await case.office.report_session(case.session_id, READY)
    assert await case.office.sessions() == []


async def test_a_session_of_nobody_is_refused(case: Case) -> None:
    with pytest.raises(ClaimLost):
        await case.office.report_session(uuid4(), READY)


async def test_what_was_begun_is_known_until_it_has_a_result(case: Case) -> None:
    assert [command.id for command in await case.office.begun_commands()] == [case.claim.command_id]
    await case.office.complete(case.claim, Verdict(result={}))
    assert await case.office.begun_commands() == []
