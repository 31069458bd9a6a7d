"""Waiting for a change of certain rows."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from semo_office.errors import LinkError
from semo_office.link.hints import OfficeHints
from semo_office.link.socket import Hint
from semo_office.link.timing import Timing


class Expectation:
    """Wakes its waiter when one of its rows may have changed; the waiter then reads them again.

    Entered before the row is written, it misses nothing: a hint that comes before `next` is kept.
    """

    def __init__(
        self, hints: OfficeHints, keys: frozenset[tuple[str, str | None]], timing: Timing, check: Callable[[], None]
    ) -> None:
        self._hints = hints
        self._keys = keys
        self._timing = timing
        self._check = check
        self._bell = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._hints.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hints.remove(self)

    async def next(self, timeout: float) -> bool:
        """Wait for a hint, a gap in the hints, or `timeout` s; False: it was the last. Raises LinkError."""
        woken = await self._timing.rings(self._bell, timeout)
        self._bell.clear()
        if self._hints.stopped:
            self._check()
            raise LinkError("The link to the office is closed.")
        return woken

    def on_hint(self, hint: Hint) -> None:
        if (hint.table, hint.key) in self._keys or (hint.table, None) in self._keys:
            self._bell.set()

    def on_gap(self) -> None:
        self._bell.set()

    def on_change(self) -> None:
        if self._hints.stopped:
            self._bell.set()
