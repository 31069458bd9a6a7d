"""What stays after thousands of reconnections, on the fake socket that keeps the contract of the real one."""

import asyncio
import gc
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from semo_office.link.hints import OfficeHints
from semo_office.link.socket import Inbox, OpenedSocket
from semo_office.link.timing import Timing
from semo_office.link.watch import Watch
from tests.unit.semo_office.fakes import EPOCH, FakeSocket, FakeTable
from tests.unit.semo_office.link.test_hints import same_credentials

WARM, MANY = 1_000, 10_000


@dataclass(frozen=True)
class Footprint:
    tasks: int
    timers: int
    objects: int
    blocks: int  # of the allocator, whatever is in them

    @classmethod
    def now(cls) -> "Footprint":
        gc.collect()
        loop = asyncio.get_running_loop()
        timers = len(loop._scheduled)  # type: ignore[attr-defined] # nothing public counts them
        return cls(len(asyncio.all_tasks()), timers, len(gc.get_objects()), sys.getallocatedblocks())


class BreakingSockets:
    """Every socket joins, brings a hint, and breaks down as soon as others have run."""

    def __init__(self) -> None:
        self.opened = 0
        self.at: dict[int, Callable[[], None]] = {}

    async def open(self, inbox: Inbox) -> OpenedSocket:
        self.opened += 1
        if note := self.at.get(self.opened):
            note()
        socket = FakeSocket(inbox)
        asyncio.get_running_loop().call_soon(self._break, socket)
        return OpenedSocket(socket, EPOCH.replace(year=EPOCH.year + 1))

    def _break(self, socket: FakeSocket) -> None:
        if socket.topic is None:
            asyncio.get_running_loop().call_soon(self._break, socket)
        else:
            socket.hint("t", "a", self.opened)
            socket.break_down()

    async def ring(self) -> None:
        return


async def test_ten_thousand_reconnections_leave_nothing_behind() -> None:
    ticks = itertools.count()
    timing = Timing(
        clock=lambda: next(ticks) / 100, sleep=lambda _: asyncio.sleep(0), random=lambda: 0.5, now=lambda: EPOCH
    )
    sockets, table = BreakingSockets(), FakeTable(lambda: EPOCH)
    table.write("a")
    hints = OfficeHints(UUID(int=1), sockets.open, same_credentials, sockets.ring, timing, lambda: None)
    watch = Watch(hints, table, "t", (), "id", timing, lambda: None)
    footprints: list[Footprint] = []
    sockets.at = {WARM: lambda: footprints.append(Footprint.now()), MANY: lambda: footprints.append(Footprint.now())}
    sockets.at[MANY + 1] = hints.stop

    async def follow() -> None:
        async for _ in watch.rows():
            pass

    async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
        tasks.create_task(hints.run())
        tasks.create_task(follow())
    warm, many = footprints
    sys.stdout.write(f"after {WARM:,} reconnections: {warm}\nafter {MANY:,}: {many}\n")
    assert abs(many.tasks - warm.tasks) <= 4
    assert abs(many.timers - warm.timers) <= 4
    assert many.objects - warm.objects < 200
    assert many.blocks - warm.blocks < 500
