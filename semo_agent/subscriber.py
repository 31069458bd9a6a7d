"""Listens to the offices of this host, claims what may begin, and keeps the host's lease.

A hint only says "look": whatever woke it, the same one loop claims until nothing is left.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from semo_agent.office import CLAIM_LIMIT, LinkedOffice
from semo_agent.stopping import Stop
from semo_office.commands import LOOK_AGAIN_S
from semo_office.errors import LinkError
from semo_office.link import Hearer, Hint, Link, LinkState
from semo_office.models import AgentCommand
from semo_office.offices import OfficeStore

EXPIRE_EVERY_BEATS: Final = 3
POLL_LIVE_S: Final = 15.0
POLL_BLIND_S: Final = 2.0

_log = structlog.get_logger(__name__)


class OfficeSubscriber:
    """The ears of one host. `take` begins a claimed command and must not block; `audience_of` hears who watches.

    Only a hint of a new command asks for a claim. The other changes are echoes of what this agent wrote itself, and
    the answer to each such report says whether commands wait.
    """

    def __init__(
        self,
        link: Link,
        offices: OfficeStore,
        office: LinkedOffice,
        *,
        host_id: UUID,
        stop: Stop,
        take: Callable[[AgentCommand, int | None], None],
        audience_of: Callable[[UUID], Hearer],
    ) -> None:
        self._link = link
        self._offices = offices
        self._office = office
        self._host_id = host_id
        self._stop = stop
        self._take = take
        self._audience_of = audience_of
        self._listening: set[UUID] = set()
        self._look = asyncio.Event()
        self._announced = 0
        self._renew = asyncio.Event()
        stop.then(self.poke)
        stop.then(self.refresh)

    def poke(self) -> None:
        """Something may be claimable."""
        self._look.set()

    def refresh(self) -> None:
        """This host may serve another office now."""
        self._renew.set()

    def on_hint(self, hint: Hint) -> None:
        if hint.table == "agent_commands" and hint.new:
            self._announced += 1
            self.poke()

    def on_gap(self) -> None:
        self.poke()

    def on_change(self) -> None:
        self.poke()

    async def listen(self) -> None:
        """Subscribe to every office that this host serves. Raises LinkError."""
        for place in await self._offices.offices_of_host(self._host_id):
            if place.office_id not in self._listening:
                self._listening.add(place.office_id)
                hints = self._link.subscribe(place.office_id)
                hints.add(self)
                hints.hear(self._audience_of(place.office_id))
                _log.info("listening", office_id=str(place.office_id))
                self.poke()

    async def keep_lease(self) -> None:
        """Renew the lease, look for new offices and end what is overdue, until the stop. Raises Superseded."""
        beats = 0
        while not self._stop:
            await _rings(self._renew, self._office.lease_terms.renewed_every_s)
            if self._stop:
                return
            try:
                await self._office.renew_lease()
                await self.listen()
                beats += 1
                if beats % EXPIRE_EVERY_BEATS == 0:
                    await self._office.expire_commands()
            except LinkError as err:
                _log.warning("lease_not_renewed", error=type(err).__name__)

    async def claim_until_stop(self) -> None:
        """Claim whenever there may be something. Raises Superseded."""
        while not self._stop:
            pause, announced = self._poll_interval(), self._announced
            self._announced = 0
            try:
                if await self._claim_all() < announced:
                    pause = LOOK_AGAIN_S
            except LinkError as err:
                _log.warning("claim_failed", error=type(err).__name__)
                pause = POLL_BLIND_S
            await _rings(self._look, pause)

    async def _claim_all(self) -> int:
        """How many were claimed."""
        count = 0
        while not self._stop:
            claimed = await self._office.claim()
            for each in claimed:
                _log.info(
                    "claimed",
                    command_id=str(each.command.id),
                    command_type=each.command.command_type,
                    session_id=str(each.command.session_id),
                )
                self._take(each.command, each.remaining_ms)
            count += len(claimed)
            if len(claimed) < CLAIM_LIMIT:
                break
        return count

    def _poll_interval(self) -> float:
        return POLL_LIVE_S if self._link.status.state is LinkState.LIVE else POLL_BLIND_S


async def _rings(bell: asyncio.Event, seconds: float) -> None:
    """Wait for the bell, at most so long, and silence it."""
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return
    bell.clear()
