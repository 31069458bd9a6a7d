"""One stop for all, and tasks whose failures are seen."""

import asyncio

import pytest

from semo_office.stopping import Stop, Tasks, first_of, rings


async def test_a_failed_task_is_remembered_and_stops_everything() -> None:
    stop = Stop()
    tasks = Tasks(stop)

    async def fail() -> None:
        raise ValueError("broken")

    tasks.start("failing", fail())
    async with asyncio.timeout(1):
        await stop.wait()
    assert isinstance(tasks.failure, ValueError)


async def test_what_does_not_end_in_time_is_cancelled() -> None:
    tasks = Tasks(Stop())
    began = asyncio.Event()
    ended = asyncio.Event()

    async def linger() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks.start("lingering", linger())
    await began.wait()
    await tasks.settle(0.01)
    assert ended.is_set()
    assert tasks.failure is None


async def test_a_pause_ends_with_the_stop() -> None:
    stop = Stop()
    pausing = asyncio.create_task(stop.within(60), name="pause")
    await asyncio.sleep(0)
    stop.set()
    assert await pausing is True


async def test_a_pause_without_a_stop_lasts() -> None:
    assert await Stop().within(0.001) is False


async def wait_for_ever(ended: asyncio.Event) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()
    return "never"


async def answer() -> str:
    return "first"


async def refuse() -> str:
    raise ValueError("broken")


async def test_the_first_to_end_answers_and_the_others_are_over_by_then() -> None:
    ended = asyncio.Event()
    assert await first_of(wait_for_ever(ended), answer()) == "first"
    assert ended.is_set()


async def test_the_first_to_fail_is_raised() -> None:
    ended = asyncio.Event()
    with pytest.raises(ValueError, match="broken"):
        await first_of(refuse(), wait_for_ever(ended))
    assert ended.is_set()


async def test_a_cancelled_wait_leaves_none_of_its_parts_behind() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    waiting = asyncio.create_task(first_of(wait_for_ever(first), wait_for_ever(second)), name="waiting")
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert first.is_set()
    assert second.is_set()


async def test_a_bell_that_rang_before_is_heard_once() -> None:
    bell = asyncio.Event()
    bell.set()
    await rings(bell, 60)
    assert not bell.is_set()


async def test_a_bell_that_does_not_ring_is_not_awaited_for_ever() -> None:
    await rings(asyncio.Event(), 0.001)
