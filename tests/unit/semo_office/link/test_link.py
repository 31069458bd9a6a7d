import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest

from semo_office.errors import LinkError
from semo_office.link import Link, LinkState, Row
from semo_office.link.health import Health
from semo_office.link.requests import Requests
from semo_office.link.socket import Inbox, OpenedSocket
from tests.unit.semo_office.fakes import FakeSockets, ManualTime, make_credentials, settle

OFFICE, OTHER_OFFICE, KEY, OTHER_KEY = (UUID(int=n) for n in range(1, 5))


class World:
    """A link whose REST answers what `status` says, whose sockets are fakes, and whose time stands."""

    def __init__(self) -> None:
        self.time = ManualTime()
        self.sockets = FakeSockets()
        self.away = False

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused")
        if request.url.path.endswith("ring_office"):
            await self.sockets.ring()
        return httpx.Response(200, json=[])

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        health = Health(self.time.now)
        transport = httpx.MockTransport(self.handle)
        requests = await Requests.open(make_credentials, self.time.timing, health.note_reached, transport=transport)
        async with Link(requests, health, self.time.timing, self.sockets.open) as link:
            yield link


async def test_an_office_is_subscribed_once_however_many_wait() -> None:
    world = World()
    async with world.link() as link:
        async with link.expect(OFFICE, ("t", KEY)), link.expect(OFFICE, ("t", OTHER_KEY)):
            link.subscribe(OFFICE)
            link.subscribe(OTHER_OFFICE)
            await settle()
        assert [socket.topic for socket in world.sockets.opened] == [f"office:{OFFICE}", f"office:{OTHER_OFFICE}"]


async def test_a_hint_that_comes_before_the_wait_is_kept() -> None:
    world = World()
    async with world.link() as link, link.expect(OFFICE, ("t", KEY)) as change:
        await settle()
        assert await change.next(0.0)
        world.sockets.last.hint("t", str(KEY), 1)
        await settle()
        assert await change.next(60.0)
        assert world.time.elapsed == 0


async def test_only_hints_for_its_rows_wake_a_waiter() -> None:
    world = World()
    async with world.link() as link, link.expect(OFFICE, ("t", KEY), ("u", None)) as change:
        await settle()
        assert await change.next(0.0)
        world.sockets.last.hint("t", str(OTHER_KEY), 1)
        await settle()
        assert not await change.next(0.0)
        world.sockets.last.hint("u", str(OTHER_KEY), 2)
        await settle()
        assert await change.next(0.0)


async def test_a_rejoin_wakes_a_waiter() -> None:
    world = World()
    async with world.link() as link, link.expect(OFFICE, ("t", KEY)) as change:
        await settle()
        assert await change.next(0.0)
        world.sockets.last.break_down()
        waiting = asyncio.create_task(change.next(60.0))
        await world.time.advance(1.0)
        assert await waiting


async def test_a_wait_ends_when_its_time_is_over() -> None:
    world = World()
    async with world.link() as link, link.expect(OFFICE, ("t", KEY)) as change:
        await settle()
        assert await change.next(0.0)
        waiting = asyncio.create_task(change.next(60.0))
        await world.time.advance(60.0)
        assert await waiting is False


async def test_the_state_says_whether_changes_arrive_are_read_or_neither() -> None:
    world, seen = World(), list[LinkState]()
    async with world.link() as link:
        link.on_status(lambda status: seen.append(status.state))
        link.subscribe(OFFICE)
        await settle()
        world.sockets.last.break_down()
        await settle()
        world.away = True
        with pytest.raises(LinkError):
            await link.rpc("f", {})
        world.away = False
        await link.rpc("f", {})
        await world.time.advance(1.0)
        assert seen == [LinkState.POLLING, LinkState.LIVE, LinkState.POLLING, LinkState.OFFLINE, LinkState.POLLING,
                        LinkState.LIVE]  # fmt: skip


async def test_it_catches_up_while_a_watch_has_not_read_what_it_missed() -> None:
    world, seen, told = World(), list[LinkState](), list[Row]()

    async def consume(link: Link) -> None:
        async for row in link.watch("t", office_id=OFFICE, key="id"):
            told.append(row)

    async with world.link() as link:
        link.on_status(lambda status: seen.append(status.state))
        consumer = asyncio.create_task(consume(link))
        while LinkState.LIVE not in seen:
            await settle()
        assert seen == [LinkState.POLLING, LinkState.CATCHING_UP, LinkState.LIVE]
    await consumer


async def test_offline_says_since_when() -> None:
    world = World()
    async with world.link() as link:
        await world.time.advance(30.0)
        world.away = True
        with pytest.raises(LinkError):
            await link.rpc("f", {})
        gone_at = world.time.now()
        await world.time.advance(30.0)
        with pytest.raises(LinkError):
            await link.rpc("f", {})
        assert (link.status.state, link.status.since) == (LinkState.OFFLINE, gone_at)


async def test_a_listener_that_left_is_told_nothing_more() -> None:
    world, seen = World(), list[LinkState]()
    async with world.link() as link:
        leave = link.on_status(lambda status: seen.append(status.state))
        leave()
        link.subscribe(OFFICE)
        await settle()
        assert seen == [LinkState.POLLING]


async def test_a_ring_that_breaks_the_program_ends_the_link_loudly() -> None:
    world = World()

    async def mistake(request: httpx.Request) -> httpx.Response:
        raise KeyError(request.url.path)

    world.handle = mistake  # type: ignore[method-assign] # the fault that this test is about
    async with world.link() as link:
        link.subscribe(OFFICE)
        await world.time.advance(2.0)
        with pytest.raises(LinkError, match="failed") as caught:
            await link.wait_closed()
        assert isinstance(caught.value.__cause__, KeyError)


async def test_closing_ends_waits_and_watches_and_is_no_failure() -> None:
    world = World()
    async with world.link() as link:
        change = link.expect(OFFICE, ("t", KEY))
        watch = link.watch("t", office_id=OFFICE, key="id")
        async with change:
            await settle()
            assert await change.next(0.0)
            waiting, watching = asyncio.create_task(change.next(60.0)), asyncio.create_task(anext(watch, None))
            await settle()
            await link.close()
            with pytest.raises(LinkError, match="closed"):
                await waiting
            assert await watching is None
        await link.wait_closed()
        with pytest.raises(LinkError, match="closed"):
            link.subscribe(OTHER_OFFICE)


async def test_a_part_that_fails_ends_the_link_loudly() -> None:
    world = World()

    async def break_the_program(inbox: Inbox) -> OpenedSocket:
        raise KeyError("a mistake in the program")

    world.sockets.open = break_the_program  # type: ignore[method-assign] # the fault that this test is about
    async with world.link() as link, link.expect(OFFICE, ("t", KEY)) as change:
        with pytest.raises(LinkError, match="failed") as caught:
            await change.next(60.0)
        assert isinstance(caught.value.__cause__, KeyError)
        with pytest.raises(LinkError, match="failed"):
            await link.wait_closed()
        with pytest.raises(LinkError, match="failed"):
            link.subscribe(OTHER_OFFICE)
