import asyncio

import pytest

from semo_agent.terminals.base import (
    Changed,
    Exited,
    ExitStatus,
    MarkSeen,
    Position,
    TerminalEvent,
    TitleChanged,
)
from semo_agent.terminals.event_stream import MOST_WAITING, EventStream

MARK = MarkSeen("a", "C", "", Position(0, 0))


async def read_all(stream: EventStream) -> list[TerminalEvent]:
    return [event async for event in stream.events()]


async def test_changes_of_a_tab_are_one_event_and_the_last_title_counts() -> None:
    stream = EventStream()
    for number in range(100):
        stream.tell(Changed("a"))
        stream.tell(Changed("b"))
        stream.tell(TitleChanged("a", str(number)))
    stream.close()
    assert sorted(map(repr, await read_all(stream))) == sorted(
        map(repr, [Changed("a"), Changed("b"), TitleChanged("a", "99")])
    )


async def test_marks_and_ends_are_all_kept_in_order() -> None:
    stream = EventStream()
    end = Exited("a", ExitStatus(code=0))
    for event in (MARK, MARK, end):
        stream.tell(event)
    stream.close()
    assert await read_all(stream) == [MARK, MARK, end]


async def test_tabs_wait_for_a_reader_that_is_far_behind() -> None:
    stream = EventStream()
    for _ in range(MOST_WAITING):
        stream.tell(MARK)
    room = asyncio.create_task(stream.room())
    reader = stream.events()
    async with asyncio.timeout(5):
        while not room.done():
            assert await anext(reader) == MARK
            await asyncio.sleep(0)


async def test_nobody_waits_for_a_reader_that_is_gone() -> None:
    stream = EventStream()
    for _ in range(MOST_WAITING):
        stream.tell(MARK)
    stream.let_through()
    stream.tell(MARK)
    async with asyncio.timeout(5):
        await stream.room()


async def test_a_failure_reaches_the_reader_after_the_events_before_it() -> None:
    stream = EventStream()
    stream.tell(MARK)
    stream.close(OSError("disk full"))
    reader = stream.events()
    assert await anext(reader) == MARK
    with pytest.raises(OSError, match="disk full"):
        await anext(reader)
