"""Which of several servers leads an office, and for how long."""

from collections.abc import Awaitable, Callable
from typing import Final, Never, TypeVar
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, JsonValue

from semo_office.errors import CommandError, ErrorCode, LinkError, TermEnded
from semo_office.link import Link
from semo_office.stopping import Stop

LEASE_MS: Final = 10_000
RENEW_AFTER: Final = 0.3
LOOK_S: Final = 2.0
ANSWER_S: Final = 3.0
RETRY_FIRST_S: Final = 0.2
RETRY_SLOWEST_S: Final = 2.0
RETRY_GROWTH: Final = 2.0

# A server that was deposed, or is not admitted to the office any more.
DEPOSED: Final = frozenset({ErrorCode.SUPERSEDED, ErrorCode.FORBIDDEN})

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Standing(BaseModel):
    """Who leads. `instance_id` None: nobody."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    instance_id: UUID | None
    remaining_ms: int


class Term:
    """One term of a leader: the epoch that each of its writes carries, and its end."""

    def __init__(self, office_id: UUID, epoch: int) -> None:
        self.office_id = office_id
        self.epoch = epoch
        self.over = Stop()

    def to_json(self) -> dict[str, JsonValue]:
        """The arguments that every function of a leader has."""
        return {"p_office_id": str(self.office_id), "p_epoch": self.epoch}

    async def ended(self) -> Never:
        """Wait for the end. Raises TermEnded."""
        await self.over.wait()
        raise TermEnded("Another server may lead this office now.")

    async def pause(self, seconds: float) -> None:
        """Raises TermEnded when the end comes first."""
        if await self.over.within(seconds):
            raise TermEnded("Another server may lead this office now.")

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until the office answers; asking twice must do no harm. Raises what it refuses with, TermEnded."""
        wait = RETRY_FIRST_S
        while True:
            try:
                return await ask()
            except LinkError as err:
                _log.warning("office_away", office_id=str(self.office_id), error=type(err).__name__)
            await self.pause(wait)
            wait = min(wait * RETRY_GROWTH, RETRY_SLOWEST_S)


class Leadership:
    """The lease of one office, as one server process asks for it. clock: monotonic, s."""

    def __init__(
        self,
        link: Link,
        office_id: UUID,
        instance: UUID,
        *,
        stop: Stop,
        clock: Callable[[], float],
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._link = link
        self._office_id = office_id
        self._instance = instance
        self._stop = stop
        self._clock = clock
        self._lease_ms = lease_ms
        self._held_until = 0.0

    async def await_term(self) -> Term | None:
        """Stand by until this process leads. None: it is to stop, or is not admitted to the office."""
        while not self._stop:
            wait = LOOK_S
            try:
                standing = await self._take()
                if standing.instance_id == self._instance:
                    return Term(self._office_id, standing.epoch)
                wait = min(standing.remaining_ms / 1000, LOOK_S)
            except LinkError as err:
                _log.warning("lease_not_asked", office_id=str(self._office_id), error=type(err).__name__)
            except CommandError as err:
                if err.code not in DEPOSED:
                    raise
                _log.warning("not_admitted", office_id=str(self._office_id))
                return None
            # A moment more than the rest of the lease: it must have run out by the office's clock.
            await self._stop.within(wait + 0.1)
        return None

    async def keep(self, term: Term) -> None:
        """Renew until another leads, the office is out of reach for as long as the lease lasts, or the stop."""
        while not await self._stop.within(self._lease_ms / 1000 * RENEW_AFTER) and not term.over:
            try:
                standing = await self._take()
            except LinkError as err:
                _log.warning("lease_not_renewed", office_id=str(self._office_id), error=type(err).__name__)
                if self._clock() >= self._held_until:
                    return
            except CommandError as err:
                if err.code not in DEPOSED:
                    raise
                return
            else:
                if (standing.instance_id, standing.epoch) != (self._instance, term.epoch):
                    return

    async def leave(self, term: Term) -> None:
        """Give the lease up, so that the next server need not wait. One try: it runs out by itself as well."""
        try:
            await self._link.rpc("leave_office", term.to_json(), deadline=ANSWER_S)
        except LinkError as err:
            _log.warning("lease_not_left", office_id=str(self._office_id), error=type(err).__name__)
        except CommandError as err:
            if err.code not in DEPOSED:
                raise
            _log.info("deposed", office_id=str(self._office_id), epoch=term.epoch)

    async def _take(self) -> Standing:
        asked = self._clock()
        row = await self._link.rpc(
            "take_office",
            {"p_office_id": str(self._office_id), "p_instance": str(self._instance), "p_ttl_ms": self._lease_ms},
            deadline=ANSWER_S,
            retry=True,
        )
        standing = Standing.model_validate(row)
        if standing.instance_id == self._instance:
            self._held_until = asked + self._lease_ms / 1000
        return standing
