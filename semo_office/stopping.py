"""How a process stops: one event for all, and named tasks that are watched in one place."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import structlog

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Stop:
    """Set once; whoever waits for something else waits for this as well."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._then: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Stop. Those named by `then` are told at once."""
        self._event.set()
        for tell in self._then:
            tell()

    def then(self, tell: Callable[[], None]) -> None:
        """Call this when the stop comes."""
        self._then.append(tell)

    async def wait(self) -> None:
        await self._event.wait()

    async def within(self, seconds: float) -> bool:
        """Sleep, but not beyond the stop. Returns whether it has come."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return bool(self)
        return True


class Tasks:
    """Named tasks. The first that fails is remembered and stops everything: no failure goes unseen."""

    expected: ClassVar[tuple[type[BaseException], ...]] = ()
    """How a task may end when the stop comes; no failures."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._running: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None

    def start(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Run it until it ends."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def settle(self, timeout: float) -> None:
        """Wait up to `timeout` s for all to end by themselves, then cancel what is left."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout)
        left = list(self._running)
        for task in left:
            _log.warning("task_cancelled", task=task.get_name())
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled() or (failure := task.exception()) is None or isinstance(failure, self.expected):
            return
        _log.error("task_failed", task=task.get_name(), error=type(failure).__name__)
        self.failure = self.failure or failure
        self._stop.set()


async def first_of(*waits: Coroutine[Any, Any, T]) -> T:
    """What the first to end returns or raises. The others are cancelled, and must be able to bear that."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return next(task for task in tasks if task in done).result()


async def rings(bell: asyncio.Event, seconds: float) -> None:
    """Wait for the bell, at most so long, and silence it."""
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return
    bell.clear()
