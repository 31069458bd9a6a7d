"""When clients hear of a changed screen: as often as iTerm2 draws it."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol

from tests.iterm2_server.session import Session

FAST_HZ, SLOW_HZ = 30.0, 1.0
IDLE_S = 3.0


class Clock(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., object], /, *args: Any) -> asyncio.TimerHandle: ...


class Cadence:
    """Sessions that a person sees are drawn `fast` times a second; hidden or idle ones at the ticks of a `slow` clock.

    What changes between two times is told once.
    """

    def __init__(self, fast: float, slow: float, loop: Clock) -> None:
        self.tell: Callable[[Session], None] = lambda session: None
        self.sees: Callable[[Session], bool] = lambda session: True
        self._fast, self._slow = 1 / fast, 1 / slow
        self._loop = loop
        self._began = self._loop.time()
        self._waiting: dict[Session, asyncio.TimerHandle] = {}
        self._told: dict[Session, float] = {}

    def changed(self, session: Session) -> None:
        """Note a change; it is told when its time comes."""
        if session not in self._waiting:
            self._waiting[session] = self._loop.call_at(self._next(session), self._fire, session)

    def reconsider(self) -> None:
        """Something was shown or hidden: what waits may have another time."""
        for session in list(self._waiting):
            self._waiting.pop(session).cancel()
            self.changed(session)

    def forget(self, session: Session) -> None:
        self._told.pop(session, None)
        if (timer := self._waiting.pop(session, None)) is not None:
            timer.cancel()

    def _next(self, session: Session) -> float:
        now = self._loop.time()
        # A session that is new is not idle.
        told = self._told.setdefault(session, now)
        if self.sees(session) and now - told < IDLE_S:
            return max(now, told + self._fast)
        return self._began + math.floor((now - self._began) / self._slow + 1) * self._slow

    def _fire(self, session: Session) -> None:
        del self._waiting[session]
        self._told[session] = self._loop.time()
        self.tell(session)
