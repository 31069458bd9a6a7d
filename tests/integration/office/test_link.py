"""The link on the real hub, through what networks, tokens and servers do."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from semo_office.config import CredentialsFile
from semo_office.link import Link, LinkState, Row, Timing
from semo_office.locations import StateFolder
from semo_office.offices import OfficeStore
from tests.integration.hub_fixture import RunningHub, end_hub, start_hub
from tests.integration.office.conftest import Identity, Party, party_on, signed_in
from tests.integration.office.wire import wire_to

HURRY = 20.0


def hurried() -> Timing:
    """The same waits in a twentieth of their time."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / HURRY)

    return Timing(clock=lambda: time.monotonic() * HURRY, sleep=sleep)


class Following:
    """The keys that a watch of an office's commands has told."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._told = asyncio.Condition()

    async def consume(self, link: Link, office_id: UUID) -> None:
        async for row in link.watch("agent_commands", office_id=office_id, key="id"):
            async with self._told:
                self.rows.append(row)
                self._told.notify_all()

    async def tells(self, command_id: UUID, within_s: float = 15.0) -> None:
        async with asyncio.timeout(within_s), self._told:
            await self._told.wait_for(lambda: any(row["id"] == str(command_id) for row in self.rows))


@asynccontextmanager
async def following(link: Link, office_id: UUID) -> AsyncIterator[Following]:
    follower = Following()
    task = asyncio.create_task(follower.consume(link, office_id), name="follow commands")
    yield follower
    await link.close()
    await task


async def becomes(link: Link, state: LinkState, within_s: float = 15.0) -> None:
    reached = asyncio.Event()
    leave = link.on_status(lambda status: reached.set() if status.state is state else None)
    async with asyncio.timeout(within_s):
        await reached.wait()
    leave()


async def test_a_hint_wakes_a_waiter_long_before_the_poll(party: Party) -> None:
    session_id = await party.new_session()
    command = party.prompt(session_id, "x")
    async with party.operator.link.expect(party.office_id, ("agent_commands", command.id)) as change:
        await becomes(party.operator.link, LinkState.LIVE)
        assert await change.next(0.0)
        await party.operator.commands.create_command(command)
        async with asyncio.timeout(5):
            assert await change.next(3600.0)


async def test_a_watch_tells_a_row_by_its_hint(party: Party) -> None:
    session_id = await party.new_session()
    async with following(party.operator.link, party.office_id) as follower:
        await becomes(party.operator.link, LinkState.LIVE)
        sent = await party.operator.commands.create_command(party.prompt(session_id, "x"))
        await follower.tells(sent.id, within_s=5.0)


async def test_a_watch_of_another_office_hears_nothing(office_hub: RunningHub, party: Party) -> None:
    session_id = await party.new_session()
    async with party_on(office_hub) as other, following(other.operator.link, party.office_id) as follower:
        await party.operator.commands.create_command(party.prompt(session_id, "private"))
        theirs = await other.new_session()
        async with following(other.host.link, other.office_id) as own:
            sent = await other.operator.commands.create_command(other.prompt(theirs, "x"))
            await own.tells(sent.id)
        assert follower.rows == []


async def test_a_watch_misses_nothing_when_no_hint_ever_comes(office_hub: RunningHub) -> None:
    async with party_on(office_hub, timing=hurried()) as party:
        session_id = await party.new_session()
        async with following(party.operator.link, party.office_id) as follower:
            await becomes(party.operator.link, LinkState.LIVE)
            with psycopg.connect(office_hub.superuser_conninfo, autocommit=True) as superuser:
                superuser.execute("alter table public.agent_commands disable trigger hint")
                try:
                    for number in range(5):
                        sent = await party.operator.commands.create_command(party.prompt(session_id, str(number)))
                        await follower.tells(sent.id)
                finally:
                    superuser.execute("alter table public.agent_commands enable trigger hint")
            assert party.operator.link.status.state is LinkState.LIVE


async def test_what_is_written_while_the_wire_is_cut_is_told_when_it_is_mended(office_hub: RunningHub) -> None:
    async with party_on(office_hub) as party, wire_to(office_hub.url) as wire:
        session_id = await party.new_session()
        identity = party.operator.identity
        async with (
            signed_in(identity.through(wire.url), timing=hurried()) as far,
            following(far.link, party.office_id) as follower,
        ):
            for number in range(3):
                await becomes(far.link, LinkState.LIVE)
                wire.cut()
                await becomes(far.link, LinkState.OFFLINE)
                sent = await party.operator.commands.create_command(party.prompt(session_id, str(number)))
                wire.mend()
                await follower.tells(sent.id)


async def test_a_token_that_ends_costs_neither_hints_nor_requests(office_hub: RunningHub) -> None:
    operator = Identity(office_hub, ttl_s=2.0)
    async with party_on(office_hub, operator=operator) as party:
        session_id = await party.new_session()
        async with following(party.operator.link, party.office_id) as follower:
            await becomes(party.operator.link, LinkState.LIVE)
            reads = operator.reads
            await becomes(party.operator.link, LinkState.POLLING)
            await becomes(party.operator.link, LinkState.LIVE)
            assert operator.reads > reads
            sent = await party.operator.commands.create_command(party.prompt(session_id, "x"))
            await follower.tells(sent.id)


@pytest.fixture
def own_hub(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


async def test_a_link_outlives_its_hub_even_when_that_comes_back_elsewhere(own_hub: StateFolder) -> None:
    hub = await asyncio.to_thread(start_hub, own_hub.path)
    try:
        async with await Link.open(CredentialsFile(own_hub, "operator")) as link:
            office = await OfficeStore(link).create_office("o", f"/repo/{uuid4()}")
            rows: list[Row] = []

            async def consume() -> None:
                async for row in link.watch("offices", office_id=office.id, key="id"):
                    rows.append(row)  # noqa: PERF401 # the watch ends only with the link

            task = asyncio.create_task(consume(), name="follow offices")
            await becomes(link, LinkState.LIVE)
            await asyncio.to_thread(end_hub, hub)
            await becomes(link, LinkState.OFFLINE)
            before = hub.url
            hub = await asyncio.to_thread(start_hub, own_hub.path)
            assert hub.url != before
            with psycopg.connect(hub.superuser_conninfo, autocommit=True) as superuser:
                superuser.execute("update public.offices set name = 'renamed'")
            await becomes(link, LinkState.LIVE, within_s=30.0)
            assert rows[-1]["name"] == "renamed"
            assert (await OfficeStore(link).find_by_name("renamed"))[0].id == office.id
        await task
    finally:
        await asyncio.to_thread(end_hub, hub)
