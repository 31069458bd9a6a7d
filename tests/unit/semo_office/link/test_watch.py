import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from semo_office.errors import LinkError, RequestRejected
from semo_office.link.canary import UNPROVEN_S
from semo_office.link.filters import Filter, eq
from semo_office.link.hints import OfficeHints
from semo_office.link.requests import Row
from semo_office.link.watch import (
    KEYS_PENDING_MAX,
    POLL_ALONE_S,
    POLL_LIVE_S,
    POLL_TRAILING_S,
    SeenVersions,
    Watch,
)
from tests.unit.semo_office.fakes import FakeSockets, FakeTable, ManualTime, settle
from tests.unit.semo_office.link.test_hints import same_credentials


@dataclass
class Follower:
    """Someone who consumes a watch, with the world that the watch lives in."""

    time: ManualTime = field(default_factory=ManualTime)
    sockets: FakeSockets = field(default_factory=FakeSockets)
    rows: list[Row] = field(default_factory=list)
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        self.table = FakeTable(self.time.now)
        self.hints = OfficeHints(
            UUID(int=1), self.sockets.open, same_credentials, self.sockets.ring, self.time.timing, lambda: None
        )

    @property
    def told(self) -> list[tuple[str, int]]:
        return [(str(row["id"]), int(str(row["version"]))) for row in self.rows]

    def hint(self, key: str, version: int) -> None:
        self.sockets.last.hint("t", key, version)

    async def consume(self) -> None:
        watch = Watch(self.hints, self.table, "t", self.filters, "id", self.time.timing, lambda: None)
        async for row in watch.rows():
            self.rows.append(row)

    @asynccontextmanager
    async def following(self) -> AsyncIterator["Follower"]:
        supervisor, consumer = asyncio.create_task(self.hints.run()), asyncio.create_task(self.consume())
        await settle()
        try:
            yield self
        finally:
            self.hints.stop()
            async with asyncio.timeout(5):
                await asyncio.gather(supervisor, consumer)


async def test_rows_that_are_there_already_come_first_in_the_order_of_their_changes() -> None:
    follower = Follower()
    for key in ("c", "a", "b"):
        follower.table.write(key)
    async with follower.following():
        assert follower.told == [("c", 1), ("a", 2), ("b", 3)]


async def test_a_hint_makes_its_row_be_read_at_once() -> None:
    async with Follower().following() as follower:
        follower.hint("a", follower.table.write("a"))
        await settle()
        assert follower.told == [("a", 1)]
        assert follower.time.elapsed == 0


async def test_many_hints_for_one_row_are_one_reading() -> None:
    async with Follower().following() as follower:
        for _ in range(5):
            follower.hint("a", follower.table.write("a"))
        reads = follower.table.reads
        await settle()
        assert follower.told == [("a", 5)]
        assert follower.table.reads == reads + 1


async def test_a_hint_for_what_was_told_already_reads_nothing() -> None:
    async with Follower().following() as follower:
        version = follower.table.write("a")
        follower.hint("a", version)
        await settle()
        reads = follower.table.reads
        follower.hint("a", version)
        await settle()
        assert follower.table.reads == reads


async def test_a_change_without_a_hint_is_found_by_the_slow_poll() -> None:
    async with Follower().following() as follower:
        follower.table.write("a")
        await follower.time.advance(POLL_LIVE_S * 0.9)
        assert follower.told == []
        await follower.time.advance(POLL_LIVE_S * 0.2)
        assert follower.told == [("a", 1)]


async def test_hints_that_keep_coming_do_not_put_off_the_poll() -> None:
    async with Follower().following() as follower:
        follower.table.write("a")
        for number in range(int(POLL_TRAILING_S * 1.2) + 1):
            follower.hint("b", follower.table.write("b", number=str(number)))
            await follower.time.advance(1.0)
        assert "a" in [key for key, _ in follower.told]


async def test_a_hint_that_was_lost_is_made_good_soon_after_one_that_came() -> None:
    async with Follower().following() as follower:
        await follower.time.advance(UNPROVEN_S * 1.1)
        for number in range(10):
            version = follower.table.write(str(number))
            if number % 2:
                follower.hint(str(number), version)
        await follower.time.advance(POLL_TRAILING_S * 1.2)
        assert sorted(follower.told) == [(str(number), number + 1) for number in range(10)]
        reads = follower.table.reads
        await follower.time.advance(POLL_LIVE_S * 0.5)
        assert follower.table.reads == reads


async def test_without_a_subscription_the_poll_is_quick() -> None:
    follower = Follower(sockets=FakeSockets(*["forbidden"] * 99))
    async with follower.following():
        follower.table.write("a")
        await follower.time.advance(POLL_ALONE_S * 1.2)
        assert follower.told == [("a", 1)]


async def test_what_was_written_while_the_channel_was_closed_is_told_after_the_next_join() -> None:
    async with Follower().following() as follower:
        follower.sockets.last.break_down()
        await settle()
        follower.table.write("a")
        await follower.time.advance(0.25)
        assert follower.hints.joined
        assert follower.told == [("a", 1)]


async def test_a_change_that_was_committed_late_is_within_the_overlap() -> None:
    async with Follower().following() as follower:
        await follower.time.advance(60.0)
        follower.hint("b", follower.table.write("b"))
        await follower.time.advance(POLL_LIVE_S * 1.2)
        follower.table.write("a", committed_late_s=POLL_LIVE_S * 1.2 + 9.0)
        await follower.time.advance(POLL_LIVE_S * 1.2)
        assert [key for key, _ in follower.told] == ["b", "a"]


async def test_an_office_that_is_away_costs_no_row() -> None:
    async with Follower().following() as follower:
        follower.table.away = True
        follower.hint("a", follower.table.write("a"))
        await follower.time.advance(60.0)
        assert follower.told == []
        follower.table.away = False
        await follower.time.advance(POLL_ALONE_S * 1.2)
        assert follower.told == [("a", 1)]


async def test_a_scan_that_fails_half_way_is_done_again_as_a_whole() -> None:
    follower = Follower()
    for number in range(250):
        follower.table.write(str(number))
    select = follower.table.select
    failures = iter([False, False, True])

    async def failing(*args: object, **options: object) -> list[Row]:
        if next(failures, False):
            raise LinkError("The office can't be reached.")
        return await select(*args, **options)  # type: ignore[arg-type] # passed through as it came

    follower.table.select = failing  # type: ignore[method-assign] # the fault that this test is about
    async with follower.following():
        await follower.time.advance(POLL_ALONE_S * 1.2)
        assert sorted(follower.told) == sorted((str(number), number + 1) for number in range(250))


async def test_more_rows_than_one_page_are_all_told() -> None:
    follower = Follower()
    for number in range(2500):
        follower.table.write(str(number))
    async with follower.following():
        while len(follower.told) < 2500:
            await settle()
        assert len(set(follower.told)) == 2500


async def test_more_hints_than_are_kept_become_a_scan() -> None:
    async with Follower().following() as follower:
        follower.table.away = True
        for number in range(KEYS_PENDING_MAX + 200):
            follower.hint(str(number), follower.table.write(str(number)))
            if number % 500 == 0:
                await settle()
        follower.table.away = False
        await follower.time.advance(POLL_LIVE_S * 1.2)
        while len(follower.told) < KEYS_PENDING_MAX + 200:
            await settle()


async def test_only_rows_that_match_are_told() -> None:
    follower = Follower(filters=(eq("status", "pending"),))
    follower.table.write("a", status="pending")
    follower.table.write("b", status="completed")
    async with follower.following():
        follower.hint("c", follower.table.write("c", status="completed"))
        follower.hint("a", follower.table.write("a", status="pending"))
        await settle()
        assert follower.told == [("a", 1), ("a", 4)]


async def test_it_is_behind_until_it_has_read_what_it_missed() -> None:
    follower = Follower()
    follower.table.away = True
    async with follower.following():
        assert follower.hints.joined
        assert follower.hints.catching_up
        follower.table.away = False
        await follower.time.advance(POLL_ALONE_S * 1.2)
        assert not follower.hints.catching_up


async def test_a_mistake_in_the_request_is_not_tried_for_ever() -> None:
    follower = Follower()

    async def refuse(*_: object, **__: object) -> list[Row]:
        raise RequestRejected("no such column", "42703")

    follower.table.select = refuse  # type: ignore[method-assign] # the fault that this test is about
    with pytest.raises(RequestRejected):
        await follower.consume()


def test_versions_of_keys_long_past_are_forgotten() -> None:
    seen = SeenVersions(limit=3)
    for key in "abcd":
        seen.note(key, 1)
    assert seen.is_new("a", 1)
    assert not seen.is_new("b", 1)
    assert seen.is_new("b", 2)
