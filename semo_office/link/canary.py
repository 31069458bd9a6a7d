"""Whether hints arrive end to end: a ring on the office's topic, when nothing else has been heard on it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

from semo_office.errors import OfficeError
from semo_office.link.socket import Inbox
from semo_office.link.timing import Timing, unless

UNPROVEN_S: Final = 1.0
SILENCE_S: Final = 60.0
ANSWER_S: Final = 5.0

log = logging.getLogger(__name__)

Ring = Callable[[], Coroutine[Any, Any, None]]


class Canary:
    """Attends to one joined socket while its block runs, and gives its inbox up when a ring is not heard.

    Everybody on the topic hears every ring, so an office is rung about once a minute, however many listen.
    `proven`: something was heard since the join or the last doubt, or the office could not be rung.
    """

    def __init__(self, inbox: Inbox, ring: Ring, timing: Timing, name: str) -> None:
        self.proven = False
        self._inbox = inbox
        self._ring = ring
        self._timing = timing
        self._name = name
        self._bell = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._silent_since = 0.0
        self._patience = 0.0
        self._listen_anew(UNPROVEN_S)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._attend(), name=self._name)
        # If it fails the connection ends, and what it failed of comes out of the block.
        self._task.add_done_callback(lambda _: self._inbox.lose("the canary has ended"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bell in (self._stopping, self._bell, self._inbox.heard):
            bell.set()
        if self._task is not None:
            await self._task

    def doubt(self) -> None:
        """The office was away: the socket may have gone with it and not know."""
        self.proven = False
        self._listen_anew(UNPROVEN_S)
        self._bell.set()

    async def _attend(self) -> None:
        while not self._stopping.is_set():
            self._note_what_was_heard()
            left = self._silent_since + self._patience - self._timing.clock()
            if left > 0:
                await self._timing.rings(self._bell, left)
                self._bell.clear()
            else:
                await self._sing()

    def _note_what_was_heard(self) -> None:
        if self._inbox.heard_at is None or self._inbox.heard_at <= self._silent_since:
            return
        self._silent_since = self._inbox.heard_at
        if not self.proven:
            self._trust()

    async def _sing(self) -> None:
        self._inbox.heard.clear()
        try:
            await unless(self._stopping, self._ring(), f"{self._name}: ring")
        except OfficeError as err:
            # How the office can be reached is said by the requests; nothing is known against the socket.
            log.info("%s could not ring: %s", self._name, type(err).__name__)
            self._trust()
            return
        # The ring itself, a hint, or anybody else's ring: each has come the same way.
        if not await self._timing.rings(self._inbox.heard, ANSWER_S):
            self._inbox.lose("what is sent on its topic is not heard")
            self._stopping.set()

    def _trust(self) -> None:
        self.proven = True
        self._listen_anew(SILENCE_S)

    def _listen_anew(self, patience: float) -> None:
        self._silent_since = self._timing.clock()
        self._patience = patience * (0.9 + 0.2 * self._timing.random())
