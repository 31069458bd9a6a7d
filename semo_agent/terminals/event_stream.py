"""The events of all tabs on their way to one reader."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from semo_agent.terminals.base import Changed, TerminalEvent, TitleChanged

MOST_WAITING = 10_000
"""Marks and ends that wait for the reader; then the tabs wait."""


class EventStream:
    """Changes and titles of a tab that the reader has not seen are one event; marks and ends are all kept."""

    def __init__(self) -> None:
        self._waiting: deque[TerminalEvent] = deque()
        self._latest: dict[tuple[type[TerminalEvent], str], TerminalEvent] = {}
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._unbounded = False
        self._closed = False
        self._failure: BaseException | None = None

    def tell(self, event: TerminalEvent) -> None:
        """Add an event; it never waits."""
        if self._closed:
            return
        if isinstance(event, Changed | TitleChanged):
            self._latest.pop((type(event), event.tab_id), None)
            self._latest[type(event), event.tab_id] = event
        else:
            self._waiting.append(event)
            if len(self._waiting) >= MOST_WAITING and not self._unbounded:
                self._room.clear()
        self._filled.set()

    async def room(self) -> None:
        """Wait until the reader has caught up, or is not there any more."""
        await self._room.wait()

    def let_through(self) -> None:
        """Never make anybody wait for room again: the reader may have gone."""
        self._unbounded = True
        self._room.set()

    def close(self, failure: BaseException | None = None) -> None:
        """End the stream after what it holds, with an error if there is one."""
        self._closed = True
        self._failure = self._failure or failure
        self._room.set()
        self._filled.set()

    async def events(self) -> AsyncIterator[TerminalEvent]:
        """The events. Raises the error that the stream was closed with."""
        while True:
            while self._waiting or self._latest:
                yield self._next()
            if self._closed:
                break
            self._filled.clear()
            await self._filled.wait()
        if self._failure is not None:
            raise self._failure

    def _next(self) -> TerminalEvent:
        if self._waiting:
            event = self._waiting.popleft()
            if len(self._waiting) < MOST_WAITING // 2:
                self._room.set()
            return event
        return self._latest.pop(next(iter(self._latest)))
