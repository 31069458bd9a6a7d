import asyncio

import pytest

from semo_office.link.timing import Backoff, unless
from tests.unit.semo_office.fakes import ManualTime, settle


def test_the_bound_of_a_wait_doubles_up_to_its_longest_and_stays_there() -> None:
    backoff = Backoff(lambda: 1.0, first=0.25, longest=60.0)
    assert [backoff.next() for _ in range(10)] == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert [backoff.next() for _ in range(10_000)][-1] == 60


def test_a_wait_is_anywhere_below_its_bound() -> None:
    values = iter([0.0, 0.1, 0.9])
    backoff = Backoff(lambda: next(values), first=1.0, longest=60.0)
    assert [backoff.next() for _ in range(3)] == pytest.approx([0.0, 0.2, 3.6])


def test_after_a_reset_the_first_retry_is_quick_again() -> None:
    backoff = Backoff(lambda: 1.0, first=0.25, longest=60.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.25


async def test_a_bell_that_rings_ends_the_wait_at_once() -> None:
    time, bell = ManualTime(), asyncio.Event()
    waiting = asyncio.create_task(time.timing.rings(bell, 60.0))
    await settle()
    bell.set()
    assert await waiting
    assert time.elapsed == 0


async def test_a_bell_that_stays_silent_ends_the_wait_when_its_time_is_over() -> None:
    time = ManualTime()
    waiting = asyncio.create_task(time.timing.rings(asyncio.Event(), 60.0))
    await time.advance(59.9)
    assert not waiting.done()
    await time.advance(0.1)
    assert await waiting is False


async def test_work_is_cancelled_and_over_when_the_stop_comes() -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    waiting = asyncio.create_task(unless(stop, work(), "work"))
    await settle()
    stop.set()
    assert await waiting is None
    assert ended.is_set()


async def test_an_error_of_the_work_comes_through() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await unless(asyncio.Event(), work(), "work")
