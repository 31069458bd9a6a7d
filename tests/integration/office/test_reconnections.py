"""What stays after many reconnections of the real socket to the real hub."""

import asyncio
import gc
import sys
from dataclasses import dataclass
from pathlib import Path

from realtime import AsyncRealtimeClient
from supabase import AsyncClient
from websockets.asyncio.client import ClientConnection

from semo_office.link import LinkState, Timing
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import party_on, signed_in
from tests.integration.office.following import becomes, following
from tests.integration.office.relay import hostile

WARM, MANY = 5, 50


@dataclass(frozen=True)
class Footprint:
    tasks: int
    open_files: int
    clients: int
    connections: int

    @classmethod
    def now(cls) -> "Footprint":
        gc.collect()
        kinds = [type(each) for each in gc.get_objects()]
        return cls(
            len(asyncio.all_tasks()),
            len(list(Path("/proc/self/fd").iterdir())),
            kinds.count(AsyncClient) + kinds.count(AsyncRealtimeClient),
            kinds.count(ClientConnection),
        )


async def test_fifty_reconnections_leave_no_task_no_file_and_no_client_behind(office_hub: RunningHub) -> None:
    async with party_on(office_hub) as party, hostile(office_hub) as far_hub:
        identity = party.operator.identity.through(far_hub.url)
        # Each subscription breaks soon, which makes the waits grow: chance makes them none.
        async with (
            signed_in(identity, timing=Timing(random=lambda: 0.0)) as far,
            following(far.link, party.office_id),
        ):

            async def reconnect(times: int) -> Footprint:
                for _ in range(times):
                    await becomes(far.link, LinkState.LIVE)
                    far_hub.wire.drop(rest=False)
                    await becomes(far.link, LinkState.POLLING)
                await becomes(far.link, LinkState.LIVE)
                return await at_rest()

            async def at_rest() -> Footprint:
                """The smallest within a while: the ends of the last connection take their time."""
                least = Footprint.now()
                for _ in range(5):
                    await asyncio.sleep(0.2)
                    now = Footprint.now()
                    least = min(least, now, key=lambda each: (each.tasks, each.open_files))
                return least

            warm = await reconnect(WARM)
            many = await reconnect(MANY)
            sys.stdout.write(f"after {WARM} reconnections: {warm}\nafter {WARM + MANY}: {many}\n")
            assert far_hub.relay.opened >= WARM + MANY
            assert many.tasks <= warm.tasks + 2
            assert many.open_files <= warm.open_files + 2
            assert many.clients <= warm.clients
            assert many.connections <= warm.connections
