"""Time and chance, passed in; waiting for a bell; how long to wait before the next try."""

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

T = TypeVar("T")

_DOUBLINGS_MAX: Final = 32


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Timing:
    """clock: monotonic s; now: wall clock, aware; random: 0 ≤ x < 1."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = chance.random
    now: Callable[[], datetime] = _utc_now

    async def rings(self, bell: asyncio.Event, within: float) -> bool:
        """Wait until the bell is set, at most `within` s; whether it is."""
        if not bell.is_set() and within > 0:
            ringing = asyncio.ensure_future(bell.wait())
            sleeping = asyncio.ensure_future(self.sleep(within))
            try:
                await asyncio.wait({ringing, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ringing.cancel()
                sleeping.cancel()
        return bell.is_set()


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T], name: str) -> T | None:
    """The result of `work`, or None as soon as `stop` is set; the work is then cancelled and has ended."""
    working = asyncio.create_task(work, name=name)
    stopping = asyncio.create_task(stop.wait(), name=f"{name}: stop")
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping})


class Backoff:
    """Full jitter: any wait below a bound that doubles from `first` to `longest`, s. There is no cap on tries."""

    def __init__(self, random: Callable[[], float], *, first: float, longest: float) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self._tries = 0

    def next(self) -> float:
        """How long to wait before the next try, s."""
        bound = min(self._first * 2.0**self._tries, self._longest)
        self._tries = min(self._tries + 1, _DOUBLINGS_MAX)
        return self._random() * bound

    def reset(self) -> None:
        self._tries = 0
