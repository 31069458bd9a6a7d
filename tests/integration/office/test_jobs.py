"""Jobs through the real link: a controller that leads, and a host whose agent is the test."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from semo_office.agents import AgentService
from semo_office.breaker import BreakerStore
from semo_office.controller import JOBS_AT_ONCE, Controller
from semo_office.errors import CommandError, ErrorCode
from semo_office.execution import TURN_LIMIT_MS
from semo_office.jobs import JobService, NewJob, Verdict, prompt_id_of
from semo_office.leadership import Leadership, Term
from semo_office.models import AgentCommand, AttemptStatus, CommandType, Job, JobStatus
from semo_office.stopping import Stop
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import READY, Identity, Party, Side, signed_in, token_of

DEADLINE_S = 25.0
SHORT_LEASE_MS = 1_500

T = TypeVar("T")


@dataclass
class Serving:
    """An office with a server that may lead it."""

    party: Party
    server: Side

    @property
    def jobs(self) -> JobService:
        return JobService(self.party.operator.link)

    @asynccontextmanager
    async def controller(self) -> AsyncIterator[Controller]:
        """A controller that leads, until the block ends."""
        stop, noted = Stop(), asyncio.Event()
        controller = Controller(
            self.server.link,
            self.party.office_id,
            uuid4(),
            profiles=self.server.offices,
            stop=stop,
            clock=time.monotonic,
            note=noted.set,
        )
        running = asyncio.create_task(controller.run(), name="controller")
        try:
            async with asyncio.timeout(DEADLINE_S):
                await noted.wait()
            yield controller
        finally:
            stop.set()
            async with asyncio.timeout(DEADLINE_S):
                await running

    def leadership(self, stop: Stop) -> Leadership:
        return Leadership(
            self.server.link, self.party.office_id, uuid4(), stop=stop, clock=time.monotonic, lease_ms=SHORT_LEASE_MS
        )

    async def add(self, description: str = "make test", *, role: str = "BE") -> Job:
        return await self.jobs.add_job(
            NewJob(office_id=self.party.office_id, role=role, title="job", description=description)
        )

    async def job(self, job: Job) -> Job:
        found = await self.jobs.get_job(job.id)
        assert found is not None
        return found

    async def until(self, job: Job, status: JobStatus) -> Job:
        """The job once it is in this state."""
        return await eventually(lambda: self.job(job), lambda found: found.status is status)

    async def claim(self, command_type: CommandType) -> AgentCommand:
        async with asyncio.timeout(DEADLINE_S):
            await self.party.host.commands.renew_leases(self.party.instance)
            command = await self.party.claim_when_there()
        assert command.command_type is command_type
        return command

    async def begin_turn(self) -> AgentCommand:
        """Make the session that the job asks for, and accept its prompt."""
        await self.party.complete(await self.claim(CommandType.CREATE_SESSION))
        prompt = await self.claim(CommandType.SEND_PROMPT)
        await self.party.accept(prompt)
        return prompt

    async def end_turn(self, prompt: AgentCommand, exit_status: int = 0, output: str = "") -> None:
        await self.party.host.commands.complete_command(
            prompt.id, token_of(prompt), result={"output": output, "exit_status": exit_status}, session=READY
        )

    async def fail(self, command: AgentCommand, error: ErrorCode) -> None:
        await self.party.host.commands.complete_command(command.id, token_of(command), error=error, message="why")

    async def let_lease_run_out(self) -> None:
        await self.execute(
            "update office_leases set expires_at = now() - interval '1 second' where office_id = %s",
            self.party.office_id,
        )

    async def execute(self, statement: LiteralString, *arguments: object) -> None:
        """Behind everybody's back."""
        conninfo = self.party.hub.superuser_conninfo
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            await connection.execute(statement, arguments)


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """What was found once it holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds(found := await look()):  # noqa: ASYNC110  # it comes true in the database or another task
            await asyncio.sleep(0.05)
    return found


async def noted(logs: Sequence[Mapping[str, object]]) -> list[object]:
    return [entry["event"] for entry in logs]


@pytest.fixture
async def serving(party: Party, office_hub: RunningHub) -> AsyncIterator[Serving]:
    async with signed_in(Identity(office_hub)) as server:
        await party.operator.offices.admit_server(party.office_id, UUID(str(server.identity.user_id)))
        yield Serving(party, server)


# A job


async def test_a_job_gets_a_session_of_its_role_and_its_description_as_the_prompt(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add("make test  # as it is")
        create = await serving.claim(CommandType.CREATE_SESSION)
        assert create.payload["role"] == "BE"
        await serving.party.complete(create)
        prompt = await serving.claim(CommandType.SEND_PROMPT)
        assert prompt.payload == {"prompt": "make test  # as it is", "turn_limit_ms": TURN_LIMIT_MS}
        await serving.party.accept(prompt)
        await serving.end_turn(prompt, output="42 passed")
        await serving.until(job, JobStatus.DONE)
    [attempt] = await serving.jobs.get_attempts(job.id)
    assert attempt.evidence == {"exit_status": 0, "output": "42 passed"}
    assert (attempt.command_id, attempt.session_id) == (prompt_id_of(attempt), create.session_id)


async def test_a_job_waits_while_its_cli_is_paused_and_goes_on_once_that_is_lifted(serving: Serving) -> None:
    party = serving.party
    breakers = BreakerStore(party.operator.link)
    await breakers.open(party.office_id, party.host_id, "shell")
    with capture_logs() as logs:
        async with serving.controller():
            job = await serving.add()
            await eventually(lambda: noted(logs), lambda found: "no_room" in found)
            await breakers.reset(party.office_id, party.host_id, "shell")
            create = await serving.claim(CommandType.CREATE_SESSION)
            await breakers.open(party.office_id, party.host_id, "shell")
            await party.complete(create)
            await eventually(lambda: noted(logs), lambda found: "paused" in found)
            await breakers.reset(party.office_id, party.host_id, "shell")
            prompt = await serving.claim(CommandType.SEND_PROMPT)
            await party.accept(prompt)
            await serving.end_turn(prompt)
            await serving.until(job, JobStatus.DONE)
    assert len(await serving.jobs.get_attempts(job.id)) == 1


async def test_the_next_job_of_the_role_uses_the_session_again(serving: Serving) -> None:
    async with serving.controller():
        first = await serving.add()
        prompt = await serving.begin_turn()
        await serving.end_turn(prompt)
        await serving.until(first, JobStatus.DONE)
        await serving.add()
        assert (await serving.claim(CommandType.SEND_PROMPT)).session_id == prompt.session_id


async def test_no_more_jobs_run_at_once_than_allowed(serving: Serving) -> None:
    async with serving.controller():
        for _ in range(JOBS_AT_ONCE + 1):
            await serving.add()

        async def processing() -> int:
            return len(await serving.jobs.get_jobs(serving.party.office_id, [JobStatus.PROCESSING]))

        await eventually(processing, lambda count: count >= JOBS_AT_ONCE)
        [left] = await serving.jobs.get_jobs(serving.party.office_id, [JobStatus.READY])
        await serving.jobs.cancel_job(left.id)
        assert await processing() == JOBS_AT_ONCE


# Failures


async def test_an_exit_status_other_than_0_fails_the_job_with_its_last_lines(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        await serving.end_turn(await serving.begin_turn(), exit_status=3, output="1 failed")
        failed = await serving.until(job, JobStatus.FAILED)
    [attempt] = await serving.jobs.get_attempts(job.id)
    assert (failed.reason, failed.error, attempt.evidence["output"]) == ("exit 3", None, "1 failed")


async def test_a_prompt_of_which_nobody_knows_whether_it_arrived_is_not_sent_again(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        await serving.fail(await serving.begin_turn(), ErrorCode.INDETERMINATE)
        unclear = await serving.until(job, JobStatus.NEEDS_REVIEW)
    assert unclear.error is ErrorCode.INDETERMINATE
    assert len(await serving.jobs.get_attempts(job.id)) == 1


async def test_a_launch_that_failed_is_tried_again_in_another_session_after_a_pause(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        first = await serving.claim(CommandType.CREATE_SESSION)
        await serving.fail(first, ErrorCode.LAUNCH_FAILED)
        second = await serving.claim(CommandType.CREATE_SESSION)
        assert second.session_id != first.session_id
        assert (second.created_at - first.created_at).total_seconds() >= 2.0
        await serving.party.complete(second)
        prompt = await serving.claim(CommandType.SEND_PROMPT)
        await serving.party.accept(prompt)
        await serving.end_turn(prompt)
        await serving.until(job, JobStatus.DONE)
    attempts = await serving.jobs.get_attempts(job.id)
    assert [attempt.error for attempt in attempts] == [ErrorCode.LAUNCH_FAILED, None]


async def test_a_job_waits_until_the_host_has_room_for_its_session(serving: Serving) -> None:
    party = serving.party
    await party.new_session()
    await party.operator.offices.attach_host(party.office_id, party.host_id, "/repo", max_sessions=1)
    async with serving.controller():
        job = await serving.add()
        await serving.until(job, JobStatus.PROCESSING)
        await party.operator.offices.attach_host(party.office_id, party.host_id, "/repo", max_sessions=2)
        await serving.end_turn(await serving.begin_turn())
        await serving.until(job, JobStatus.DONE)
    assert len(await serving.jobs.get_attempts(job.id)) == 1


# Cancelling


async def test_a_prompt_that_nobody_has_claimed_is_taken_back(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        await serving.party.complete(await serving.claim(CommandType.CREATE_SESSION))
        await eventually(
            lambda: serving.jobs.get_attempts(job.id), lambda attempts: attempts[-1].command_id is not None
        )
        await serving.jobs.cancel_job(job.id)
        await serving.until(job, JobStatus.CANCELLED)
    assert await serving.party.host.commands.claim_commands(serving.party.instance) == []


async def test_a_turn_that_runs_is_interrupted(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        prompt = await serving.begin_turn()
        await serving.jobs.cancel_job(job.id)
        cancel = await serving.claim(CommandType.CANCEL)
        assert cancel.session_id == prompt.session_id
        await serving.fail(prompt, ErrorCode.CANCELLED)
        await serving.party.complete(cancel)
        await serving.until(job, JobStatus.CANCELLED)


async def test_a_job_that_waits_for_its_session_is_given_up_at_once(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        await serving.claim(CommandType.CREATE_SESSION)
        await serving.jobs.cancel_job(job.id)
        await serving.until(job, JobStatus.CANCELLED)


# One leader


async def test_the_next_leader_follows_the_prompt_that_the_one_before_sent(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        prompt = await serving.begin_turn()
    assert (await serving.job(job)).status is JobStatus.PROCESSING
    async with serving.controller():
        await serving.end_turn(prompt)
        await serving.until(job, JobStatus.DONE)
    assert len(await serving.jobs.get_attempts(job.id)) == 1


async def test_a_leader_that_is_deposed_in_the_middle_of_a_job_leaves_it_to_the_next(serving: Serving) -> None:
    async with serving.controller() as first:
        job = await serving.add()
        prompt = await serving.begin_turn()
        await serving.let_lease_run_out()
        async with serving.controller() as second:
            await eventually(lambda: asyncio.sleep(0, first.leads), lambda leads: not leads)
            await serving.end_turn(prompt)
            await serving.until(job, JobStatus.DONE)
            assert second.leads
    assert len(await serving.jobs.get_attempts(job.id)) == 1


async def test_a_write_of_a_deposed_leader_is_refused(serving: Serving) -> None:
    stop = Stop()
    old = await serving.leadership(stop).await_term()
    assert old is not None
    job = await serving.add()
    jobs = JobService(serving.server.link)
    attempt = await jobs.begin_attempt(old, job.id)
    await serving.let_lease_run_out()
    new = await serving.leadership(stop).await_term()
    assert new is not None
    assert new.epoch == old.epoch + 1
    with pytest.raises(CommandError) as caught:
        await jobs.finish_attempt(old, attempt, Verdict(status=AttemptStatus.DONE))
    assert caught.value.code is ErrorCode.SUPERSEDED
    assert (await serving.job(job)).status is JobStatus.PROCESSING


async def test_a_server_that_stands_by_leads_when_the_leader_renews_no_more(serving: Serving) -> None:
    stop = Stop()
    leader, other = serving.leadership(stop), serving.leadership(stop)
    term = await leader.await_term()
    assert term is not None
    renewing = asyncio.create_task(leader.keep(term), name="renewing")
    standing_by = asyncio.create_task(other.await_term(), name="standing by")
    _, waiting = await asyncio.wait([standing_by], timeout=2 * SHORT_LEASE_MS / 1000)
    assert waiting == {standing_by}
    # Its machine is frozen: nobody renews.
    renewing.cancel()
    async with asyncio.timeout(DEADLINE_S):
        next_term = await standing_by
    assert next_term is not None
    assert next_term.epoch == term.epoch + 1


async def test_a_leader_that_stops_leaves_at_once(serving: Serving) -> None:
    stop = Stop()
    leader = serving.leadership(stop)
    term = await leader.await_term()
    assert term is not None
    await leader.leave(term)
    next_term = await serving.leadership(stop).await_term()
    assert next_term is not None
    assert next_term.epoch == term.epoch + 1


async def test_a_server_that_is_not_admitted_does_not_lead(party: Party, office_hub: RunningHub) -> None:
    async with signed_in(Identity(office_hub)) as stranger:
        leadership = Leadership(stranger.link, party.office_id, uuid4(), stop=Stop(), clock=time.monotonic)
        assert await leadership.await_term() is None


async def test_a_controller_ends_when_its_server_is_admitted_no_more(serving: Serving) -> None:
    async with serving.controller() as controller:
        await serving.execute(
            "delete from office_members where office_id = %s and role = 'server'", serving.party.office_id
        )
        await eventually(lambda: asyncio.sleep(0, controller.leads), lambda leads: not leads)


async def test_an_end_of_the_term_ends_every_pause_in_it() -> None:
    term = Term(uuid4(), 1)
    pausing = asyncio.create_task(term.pause(60), name="pausing")
    await asyncio.sleep(0)
    term.over.set()
    with pytest.raises(Exception, match="Another server may lead"):
        await pausing


# The team


async def test_a_job_goes_to_the_office_agent_of_its_role_who_is_working_meanwhile(serving: Serving) -> None:
    agent_id = uuid4()
    await serving.execute(
        "insert into office_agents (id, office_id, role, name) values (%s, %s, 'BE', 'Bo')",
        agent_id,
        serving.party.office_id,
    )
    agents = AgentService(serving.party.operator.link)
    async with serving.controller():
        job = await serving.add()
        assert job.agent_id == agent_id
        prompt = await serving.begin_turn()
        [working] = await agents.get_agents_by_office(serving.party.office_id)
        assert (working.status, working.current_task) == ("working", "job")
        await serving.end_turn(prompt)
        await serving.until(job, JobStatus.DONE)
    agent = await agents.get_agent(agent_id)
    assert agent is not None
    assert (agent.status, agent.current_task) == ("idle", None)
    persona = await agents.get_persona(agent)
    assert persona is not None
    assert (persona.role, persona.office_id) == ("BE", None)


async def test_the_offices_own_persona_goes_before_everybodys(serving: Serving) -> None:
    agent_id = uuid4()
    await serving.execute(
        "insert into office_agents (id, office_id, role, name) values (%s, %s, 'QA', 'Quinn')",
        agent_id,
        serving.party.office_id,
    )
    await serving.execute(
        "insert into agent_personas (office_id, role, name, persona_prompt, is_default)"
        " values (%s, 'QA', 'Our tester', 'You test our way.', true)",
        serving.party.office_id,
    )
    agents = AgentService(serving.party.operator.link)
    agent = await agents.get_agent(agent_id)
    assert agent is not None
    persona = await agents.get_persona(agent)
    assert persona is not None
    assert persona.name == "Our tester"
