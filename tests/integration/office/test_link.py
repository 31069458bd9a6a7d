"""The link on the real hub, through what networks, tokens and servers do."""

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from semo_office.config import CredentialsFile
from semo_office.link import Link, LinkState, Timing
from semo_office.locations import StateFolder
from semo_office.offices import OfficeStore
from tests.integration.hub_fixture import RunningHub, end_hub, start_hub
from tests.integration.office.conftest import Identity, Party, party_on, signed_in
from tests.integration.office.following import becomes, following
from tests.integration.office.relay import Frame, hostile

HURRY = 10.0


def hurried() -> Timing:
    """The same waits in a tenth of their time."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / HURRY)

    return Timing(clock=lambda: time.monotonic() * HURRY, sleep=sleep)


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
            await becomes(party.operator.link, LinkState.LIVE)


async def test_hints_that_stop_coming_on_a_socket_that_seems_well_are_missed_and_come_back(
    office_hub: RunningHub,
) -> None:
    async with party_on(office_hub) as party, hostile(office_hub) as far_hub:
        session_id = await party.new_session()
        async with (
            signed_in(party.operator.identity.through(far_hub.url), timing=hurried()) as far,
            following(far.link, party.office_id) as follower,
        ):
            proven = asyncio.Event()

            def notice(frame: Frame) -> bool:
                if frame["event"] == "broadcast":
                    proven.set()
                return False

            await becomes(far.link, LinkState.LIVE)
            far_hub.relay.drops = notice
            sent = await party.operator.commands.create_command(party.prompt(session_id, "heard"))
            await follower.tells(sent.id)
            async with asyncio.timeout(20):
                await proven.wait()
            far_hub.relay.drops = lambda frame: frame["event"] == "broadcast"
            sent = await party.operator.commands.create_command(party.prompt(session_id, "not heard"))
            await becomes(far.link, LinkState.POLLING)
            await follower.tells(sent.id)
            far_hub.relay.drops = lambda _: False
            await becomes(far.link, LinkState.LIVE)
            sent = await party.operator.commands.create_command(party.prompt(session_id, "heard again"))
            await follower.tells(sent.id)
            assert far_hub.relay.opened >= 2


async def test_what_is_written_while_the_wire_is_cut_is_told_when_it_is_mended(office_hub: RunningHub) -> None:
    async with party_on(office_hub) as party, hostile(office_hub) as far_hub:
        session_id = await party.new_session()
        identity = party.operator.identity
        async with (
            signed_in(identity.through(far_hub.url), timing=hurried()) as far,
            following(far.link, party.office_id) as follower,
        ):
            for number in range(3):
                await becomes(far.link, LinkState.LIVE)
                far_hub.wire.cut()
                await becomes(far.link, LinkState.OFFLINE)
                sent = await party.operator.commands.create_command(party.prompt(session_id, str(number)))
                far_hub.wire.mend()
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
            async with following(link, office.id, "offices") as follower:
                await becomes(link, LinkState.LIVE)
                await asyncio.to_thread(end_hub, hub)
                await becomes(link, LinkState.OFFLINE)
                before = hub.url
                hub = await asyncio.to_thread(start_hub, own_hub.path)
                assert hub.url != before
                with psycopg.connect(hub.superuser_conninfo, autocommit=True) as superuser:
                    superuser.execute("update public.offices set name = 'renamed'")
                await becomes(link, LinkState.LIVE, within_s=30.0)
                await follower.comes_to(lambda rows: any(row["name"] == "renamed" for row in rows))
                assert (await OfficeStore(link).find_by_name("renamed"))[0].id == office.id
    finally:
        await asyncio.to_thread(end_hub, hub)
