"""A watch through the hostile hub, somebody who writes past it, and what a fault may cost: nothing, and 5 s."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from semo_office.link import LinkState, Timing
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import Identity, Party, Side, party_on, signed_in
from tests.integration.office.following import Following, becomes, following
from tests.integration.office.relay import HostileHub, hostile

DELIVERED_S = 5.0
# A machine that does other things at the same time may take so much longer.
LOAD_S = 3.0
AT_ONCE = 3

Step = Callable[[], Awaitable[None]]


def report(took_s: float) -> None:
    """`pytest -rP` shows it."""
    sys.stdout.write(f"all rows told {took_s:.2f} s after the return of the connection\n")


async def nothing() -> None:
    """The fault is over with its blow."""


class Clock:
    """The wall clock, which goes on while the machine sleeps, and chance: with 0.99 every wait is the longest."""

    def __init__(self, chance: float) -> None:
        self.slept = timedelta()
        self._chance = chance

    @property
    def timing(self) -> Timing:
        return Timing(random=lambda: self._chance, now=lambda: datetime.now(UTC) + self.slept)


@dataclass
class Scene:
    """A watch through the hostile hub, and somebody who writes past it."""

    party: Party
    hub: HostileHub
    far: Side
    follower: Following
    session_id: UUID
    clock: Clock

    async def write(self) -> list[UUID]:
        prompts = [self.party.prompt(self.session_id, str(number)) for number in range(AT_ONCE)]
        return [(await self.party.operator.commands.create_command(prompt)).id for prompt in prompts]

    async def survives(self, strike: Step, heal: Step = nothing, *, for_s: float = 0.0) -> None:
        """Nothing of what is written before, while (at least `for_s`) and after is lost or late; then it is live."""
        await self.follower.tells(*await self.write())
        await strike()
        during = await self.write()
        await asyncio.sleep(for_s)
        await heal()
        healed_at = time.monotonic()
        await self.follower.tells(*during, *await self.write(), within_s=DELIVERED_S + LOAD_S + 10)
        took = time.monotonic() - healed_at
        report(took)
        assert took <= DELIVERED_S + LOAD_S

    async def is_live_again(self) -> None:
        """And a hint tells the next row."""
        await becomes(self.far.link, LinkState.LIVE, within_s=40.0)
        await self.follower.tells(*await self.write(), within_s=DELIVERED_S + LOAD_S)

    async def joins_anew(self) -> None:
        self.hub.wire.drop(rest=False)
        await self.is_told_that_the_socket_failed()
        await becomes(self.far.link, LinkState.LIVE)

    async def is_told_that_the_socket_failed(self) -> None:
        await becomes(self.far.link, LinkState.POLLING)


@asynccontextmanager
async def nobody_dies_unseen() -> AsyncIterator[None]:
    """No task ends with an exception that nobody looks at."""
    unseen: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


@asynccontextmanager
async def scene_on(hub: RunningHub, *, ttl_s: float = 3600.0, chance: float = 0.99) -> AsyncIterator[Scene]:
    clock = Clock(chance)
    async with nobody_dies_unseen(), party_on(hub) as party, hostile(hub) as far_hub:
        identity = Identity(hub, ttl_s=ttl_s, url=far_hub.url)
        identity.user_id = party.operator.identity.user_id
        async with (
            signed_in(identity, timing=clock.timing) as far,
            following(far.link, party.office_id) as follower,
        ):
            session_id = await party.new_session()
            await becomes(far.link, LinkState.LIVE)
            yield Scene(party, far_hub, far, follower, session_id, clock)
        await far.link.wait_closed()
