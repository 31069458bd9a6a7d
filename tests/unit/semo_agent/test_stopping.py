"""One stop for all, and tasks whose failures are seen."""

import asyncio

from semo_agent.errors import Stopping
from semo_agent.stopping import Stop, Tasks


async def test_a_failed_task_is_remembered_and_stops_everything() -> None:
    stop = Stop()
    tasks = Tasks(stop)

    async def fail() -> None:
        raise ValueError("broken")

    tasks.start("failing", fail())
    async with asyncio.timeout(1):
        await stop.wait()
    assert isinstance(tasks.failure, ValueError)


async def test_a_task_that_ends_because_of_the_stop_has_not_failed() -> None:
    tasks = Tasks(Stop())

    async def stopped() -> None:
        raise Stopping("stop")

    tasks.start("stopping", stopped())
    await tasks.settle(1)
    assert tasks.failure is None


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
