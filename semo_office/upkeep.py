"""What the leader does for its pool all the time: spares as they are wanted, and an end to what rested too long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from semo_office.errors import CommandError, LinkError
from semo_office.leadership import DEPOSED, Term
from semo_office.link import Hint, Link, LinkState
from semo_office.pool import SessionPoolManager
from semo_office.stopping import rings

POLL_LIVE_S: Final = 15.0
POLL_BLIND_S: Final = 2.0
# Sessions change all the time, their titles too; one look a second is enough.
QUIET_S: Final = 1.0
CLEANUP_EVERY_S: Final = 5.0

# Rows whose change may call for a spare, or make room for one.
_CONCERNS: Final = frozenset({"agent_sessions", "pool_settings", "pool_spares"})

_log = structlog.get_logger(__name__)


class Upkeep:
    """The pool of one term. A hint only says "look"; whatever woke it, the same look follows."""

    def __init__(
        self, link: Link, term: Term, pool: SessionPoolManager, *, cleanup_every_s: float = CLEANUP_EVERY_S
    ) -> None:
        self._link = link
        self._cleanup_every_s = cleanup_every_s
        self._term = term
        self._pool = pool
        self._bell = asyncio.Event()

    async def refill(self) -> None:
        """Keep the spares ready until the term is over."""
        self._term.over.then(self._bell.set)
        hints = self._link.subscribe(self._term.office_id)
        hints.add(self)
        try:
            while not self._term.over:
                again_s = await self._asked(lambda: self._pool.initialize_warm_pool(self._term))
                await self._term.over.within(QUIET_S)
                await rings(self._bell, self._next_look(again_s))
        finally:
            hints.remove(self)

    async def clean_up(self) -> None:
        """End idle sessions until the term is over."""
        while not await self._term.over.within(self._cleanup_every_s):
            await self._asked(lambda: self._pool.cleanup_idle_sessions(self._term))

    def on_hint(self, hint: Hint) -> None:
        if hint.table in _CONCERNS:
            self._bell.set()

    def on_gap(self) -> None:
        self._bell.set()

    def on_change(self) -> None:
        self._bell.set()

    async def _asked(self, ask: Callable[[], Awaitable[float | None]]) -> float | None:
        """The answer; after a fault of the link, or when another leads, there is none."""
        try:
            return await ask()
        except LinkError as err:
            _log.warning("pool_not_kept", office_id=str(self._term.office_id), error=type(err).__name__)
            return POLL_BLIND_S
        except CommandError as err:
            if err.code not in DEPOSED:
                raise
            _log.warning("deposed", office_id=str(self._term.office_id), epoch=self._term.epoch)
            self._term.over.set()
            return None

    def _next_look(self, again_s: float | None) -> float:
        poll = POLL_LIVE_S if self._link.status.state is LinkState.LIVE else POLL_BLIND_S
        return poll if again_s is None else min(poll, again_s)
