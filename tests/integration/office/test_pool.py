"""The pool through the real link: what a leader does for it, and a host whose agent is the test."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import JobService, new_session_id_of
from semo_office.leadership import Term
from semo_office.models import AgentCommand, CommandType, JobStatus, PoolState
from semo_office.pool import PoolConfig, PoolStatus, PoolStore, SessionPoolManager
from semo_office.stopping import Stop
from semo_office.upkeep import Upkeep
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import Identity, Party, signed_in
from tests.integration.office.test_jobs import DEADLINE_S, Serving, eventually


@pytest.fixture
async def serving(party: Party, office_hub: RunningHub) -> AsyncIterator[Serving]:
    async with signed_in(Identity(office_hub)) as server:
        await party.operator.offices.admit_server(party.office_id, UUID(str(server.identity.user_id)))
        yield Serving(party, server)


async def want(serving: Serving, *, cap: int | None = None, **sizes: int) -> PoolStatus:
    config = PoolConfig(warm_pool_size=sizes, max_cold_sessions=cap)
    return await PoolStore(serving.party.operator.link).set_pool(serving.party.office_id, config)


async def make_spare(serving: Serving) -> AgentCommand:
    """The host makes the session that the pool asks for."""
    create = await serving.claim(CommandType.CREATE_SESSION)
    await serving.party.complete(create)
    return create


async def claim(serving: Serving, count: int) -> dict[CommandType, AgentCommand]:
    """So many commands, by type, in whichever order they come."""
    commands = serving.party.host.commands
    claimed: list[AgentCommand] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        serving.party.host.link.expect(serving.party.office_id, ("agent_commands", None)) as change,
    ):
        while len(claimed) < count:
            claimed += [each.command for each in await commands.claim_commands(serving.party.instance)]
            if len(claimed) < count:
                await change.next(1.0)
    return {command.command_type: command for command in claimed}


async def state_of(serving: Serving, session_id: UUID) -> PoolState | None:
    session = await serving.party.operator.sessions.get_session(session_id)
    assert session is not None
    return session.pool_state


async def leads(serving: Serving) -> Term:
    term = await serving.leadership(Stop()).await_term()
    assert term is not None
    return term


async def test_a_spare_is_made_as_soon_as_it_is_wanted_and_replaced_as_soon_as_it_is_taken(serving: Serving) -> None:
    async with serving.controller():
        await want(serving, BE=1)
        spare = await make_spare(serving)
        assert spare.payload == {"profile": "shell", "role": "BE", "host_id": str(serving.party.host_id)}
        await serving.add()
        claimed = await claim(serving, 2)
    assert claimed[CommandType.SEND_PROMPT].session_id == spare.session_id
    assert claimed[CommandType.CREATE_SESSION].payload == spare.payload


async def test_the_next_leader_replaces_the_spare_that_the_dead_one_has_handed_out(serving: Serving) -> None:
    await want(serving, BE=1)
    dead = await leads(serving)
    pool = SessionPoolManager(serving.server.link)
    assert await pool.initialize_warm_pool(dead) is None
    spare = await make_spare(serving)
    job = await serving.add()
    attempt = await JobService(serving.server.link).begin_attempt(dead, job.id)
    assert await pool.acquire_session(dead, job, attempt, "shell") == spare.session_id
    await serving.let_lease_run_out()
    async with serving.controller():
        claimed = await claim(serving, 2)
    assert claimed[CommandType.SEND_PROMPT].session_id == spare.session_id
    assert claimed[CommandType.CREATE_SESSION].payload == spare.payload
    with pytest.raises(CommandError) as caught:
        await pool.initialize_warm_pool(dead)
    assert caught.value.code is ErrorCode.SUPERSEDED


async def test_the_next_leader_goes_on_with_the_session_that_the_dead_one_has_asked_for(serving: Serving) -> None:
    dead = await leads(serving)
    job = await serving.add()
    jobs, pool = JobService(serving.server.link), SessionPoolManager(serving.server.link)
    attempt = await jobs.begin_attempt(dead, job.id)
    acquiring = asyncio.create_task(pool.acquire_session(dead, job, attempt, "shell"), name="acquiring")
    create = await serving.claim(CommandType.CREATE_SESSION)
    acquiring.cancel()
    await serving.let_lease_run_out()
    term = await leads(serving)
    going_on = asyncio.create_task(pool.acquire_session(term, job, attempt, "shell"), name="going on")
    await serving.party.complete(create)
    async with asyncio.timeout(DEADLINE_S):
        assert await going_on == create.session_id
    assert await serving.party.host.commands.claim_commands(serving.party.instance) == []


async def test_at_the_cap_acquire_says_why_and_a_job_waits_until_there_is_room(serving: Serving) -> None:
    await want(serving, cap=1)
    term, jobs = await leads(serving), JobService(serving.server.link)
    pool, store = SessionPoolManager(serving.server.link), PoolStore(serving.server.link)
    first, second = await serving.add(), await serving.add()
    one, two = await jobs.begin_attempt(term, first.id), await jobs.begin_attempt(term, second.id)
    acquiring = asyncio.create_task(pool.acquire_session(term, first, one, "shell"), name="acquiring")
    await make_spare(serving)
    async with asyncio.timeout(DEADLINE_S):
        session_id = await acquiring
    assert session_id == new_session_id_of(one)
    with pytest.raises(CommandError, match="1 of 1 cold sessions are in use") as caught:
        await store.acquire(term, two, "shell")
    assert caught.value.code is ErrorCode.POOL_EXHAUSTED
    waiting = asyncio.create_task(pool.acquire_session(term, second, two, "shell"), name="waiting")
    await serving.jobs.cancel_job(first.id)
    await serving.execute(
        "update job_attempts set status = 'cancelled', finished_at = now(), error = 'cancelled' where id = %s", one.id
    )
    async with asyncio.timeout(DEADLINE_S):
        assert await waiting == session_id, "given back with the end of the attempt"


async def test_the_end_of_a_job_gives_its_session_back_for_the_next_of_its_role(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        prompt = await serving.begin_turn()
        assert await state_of(serving, prompt.session_id) is PoolState.IN_USE
        await serving.end_turn(prompt)
        await serving.until(job, JobStatus.DONE)
        assert await state_of(serving, prompt.session_id) is PoolState.SPARE
    term = await leads(serving)
    assert await SessionPoolManager(serving.server.link).release_session(term, prompt.session_id) == PoolState.SPARE
    status = await SessionPoolManager(serving.party.operator.link).get_pool_status(serving.party.office_id)
    [role] = status.roles
    assert (role.role, role.wanted, role.spares, status.used, status.cap) == ("BE", 0, 1, 1, 3)
    assert role.last is not None
    assert role.last.reason == "given back: the next job may use it"


async def test_what_rests_too_long_is_ended_while_somebody_leads(serving: Serving) -> None:
    async with serving.controller():
        job = await serving.add()
        prompt = await serving.begin_turn()
        await serving.end_turn(prompt)
        await serving.until(job, JobStatus.DONE)
    term = await leads(serving)
    pool = SessionPoolManager(serving.server.link)
    assert await pool.cleanup_idle_sessions(term) == 0
    await serving.execute(
        "update agent_sessions set last_activity_at = now() - interval '1 hour' where session_id = %s",
        prompt.session_id,
    )
    upkeep = Upkeep(serving.server.link, term, pool, cleanup_every_s=0.05)
    cleaning = asyncio.create_task(upkeep.clean_up(), name="cleaning")
    assert (await serving.claim(CommandType.TERMINATE)).session_id == prompt.session_id
    term.over.set()
    await cleaning


async def test_a_leader_that_was_deposed_keeps_the_pool_no_more(serving: Serving) -> None:
    term = await leads(serving)
    upkeep = Upkeep(serving.server.link, term, SessionPoolManager(serving.server.link))
    refilling = asyncio.create_task(upkeep.refill(), name="refilling")
    await serving.let_lease_run_out()
    await leads(serving)
    await want(serving, BE=1)
    async with asyncio.timeout(DEADLINE_S):
        await refilling
    assert term.over


async def test_a_decision_is_told_to_whoever_watches(serving: Serving) -> None:
    term = await leads(serving)
    await want(serving, BE=1)
    link = serving.party.operator.link

    async def reasons() -> list[str]:
        return [str(row["reason"]) for row in await link.select("pool_decisions")]

    async with link.expect(serving.party.office_id, ("pool_decisions", None)) as change:
        await SessionPoolManager(serving.server.link).initialize_warm_pool(term)
        assert await change.next(DEADLINE_S)
    assert await eventually(reasons, bool) == ["made a spare: 0 of 1 BE sessions were there"]
