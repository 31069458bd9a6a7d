"""What is broadcast on an office's topic, for one reader."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from semo_office.errors import LinkError
from semo_office.link.hints import OfficeHints
from semo_office.link.socket import Broadcast
from semo_office.link.timing import Timing

MOST_WAITING: Final = 500


class Broadcasts:
    """The broadcasts of some names, in order, from its entering on.

    What comes faster than it is read is dropped as a whole; `take_gap` tells so, and after every new subscription.
    """

    def __init__(self, hints: OfficeHints, names: frozenset[str], timing: Timing, check: Callable[[], None]) -> None:
        self._hints = hints
        self._names = names
        self._timing = timing
        self._check = check
        self._waiting: deque[Broadcast] = deque()
        self._gap = False
        self._bell = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._hints.hear(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hints.unhear(self)

    @property
    def joined(self) -> bool:
        """Broadcasts arrive now."""
        return self._hints.joined

    def ring(self) -> None:
        """Make `next` return."""
        self._bell.set()

    def take_gap(self) -> bool:
        """Whether broadcasts may have been missed since this was asked last."""
        gap, self._gap = self._gap, False
        return gap

    async def next(self, timeout: float) -> Broadcast | None:
        """The next one; None after `timeout` s, a gap, or `ring`. Raises LinkError when the link ends."""
        if not self._waiting:
            await self._timing.rings(self._bell, timeout)
            self._bell.clear()
        if self._hints.stopped:
            self._check()
            raise LinkError("The link to the office is closed.")
        return self._waiting.popleft() if self._waiting else None

    def on_broadcast(self, broadcast: Broadcast) -> None:
        if broadcast.name not in self._names:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._gap = True
        self._waiting.append(broadcast)
        self._bell.set()

    def on_gap(self) -> None:
        self._gap = True
        self._bell.set()

    def on_change(self) -> None:
        if self._hints.stopped:
            self._bell.set()
