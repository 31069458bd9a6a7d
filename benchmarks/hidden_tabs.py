"""What reading iTerm2's hidden tabs by its API costs: iTerm2 tells once a second that a hidden tab has changed.

SEMO does not read so: the bytes of the program come to it by its holder. Here a small reader goes that way with the
real library, without emulator, transcript or hub: on notice alone, and with a clock of its own that asks each tab for
its screen, since nothing else says sooner which has changed.
"""

import asyncio
import shlex
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import iterm2
from iterm2 import LocalWriteOnlyProfile, api_pb2, rpc

from benchmarks import cpu
from benchmarks.desk import CLOCK, SETTLE_S, Stopwatch
from benchmarks.figures import Times
from tests.iterm2_server.running import RunningITerm2

PERIODS_S = (None, 0.25, 0.05)
"""Of the reader's own clock."""


@dataclass(frozen=True)
class Reading:
    """One way to read. asked: screens a second; reader, terminal: percent of a core."""

    way: str
    times: Times
    asked: float | None
    reader: float
    terminal: float

    def line(self) -> str:
        asked = "" if self.asked is None else f"   {self.asked:5.0f} screens/s"
        cost = f"reader {self.reader:5.2f} %, terminal {self.terminal:5.2f} % of a core"
        return f"  {self.way:<44} p50 {self.times.p50:7.1f} ms   p99 {self.times.p99:7.1f} ms   {cost}{asked}"


async def measure(count: int, seconds: float) -> list[Reading]:
    """Each way in turn, on so many hidden tabs of which one is written to."""
    with RunningITerm2.start() as server:
        async with _connected(server) as connection:
            tabs = await _open_tabs(connection, count)
            return [await _read(server, _Reader(connection, tabs), period, seconds) for period in PERIODS_S]


async def _read(server: RunningITerm2, reader: "_Reader", period: float | None, seconds: float) -> Reading:
    way = "notices alone" if period is None else f"notices, and a clock of {period * 1000:.0f} ms"
    async with reader.reading(period):
        await asyncio.sleep(SETTLE_S)
        reader.forget()
        used, theirs, began = time.process_time(), cpu.seconds_by_process(str(server.home)), time.monotonic()
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        ours = 100 * (time.process_time() - used) / lasted
        terminal = 100 * cpu.spent(theirs, cpu.seconds_by_process(str(server.home))) / lasted
        return Reading(way, Times(way, list(reader.delays)), reader.asked / lasted, ours, terminal)


class _Reader:
    """Reads the tabs that it is told of, and all of them at its own clock."""

    def __init__(self, connection: iterm2.Connection, tabs: Sequence[str]) -> None:
        self._connection = connection
        self._tabs = tabs
        self.delays: list[float] = []
        self.asked = 0
        self._stopwatch = Stopwatch(self.delays)

    def forget(self) -> None:
        self.delays.clear()
        self.asked = 0

    @asynccontextmanager
    async def reading(self, period: float | None) -> AsyncIterator[None]:
        tokens = [await self._listen(tab) for tab in self._tabs]
        looking = asyncio.create_task(self._look(period), name="clock of the reader")
        try:
            yield
            assert not looking.done(), looking
        finally:
            looking.cancel()
            await asyncio.wait({looking})
            for token in tokens:
                await iterm2.notifications.async_unsubscribe(self._connection, token)

    async def _listen(self, tab: str) -> "iterm2.notifications.NotificationToken":
        return await iterm2.notifications.async_subscribe_to_screen_update_notification(
            self._connection, self._on_update, tab
        )

    async def _on_update(self, _connection: iterm2.Connection, told: api_pb2.ScreenUpdateNotification) -> None:
        await self._get_screen(told.session)

    async def _look(self, period: float | None) -> None:
        if period is None:
            await asyncio.Event().wait()
            return
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for tab in self._tabs:
                await self._get_screen(tab)
            due = max(due + period, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _get_screen(self, tab: str) -> None:
        self.asked += 1
        reply = await rpc.async_get_screen_contents(self._connection, tab)
        self._stopwatch.note(row.text for row in reply.get_buffer_response.contents)


@asynccontextmanager
async def _connected(server: RunningITerm2) -> AsyncIterator[iterm2.Connection]:
    with server.connecting():
        connection = await iterm2.Connection.async_create()
    dispatching = connection._Connection__dispatch_forever_future  # type: ignore[attr-defined]  # it has no close
    try:
        yield connection
    finally:
        dispatching.cancel()
        await asyncio.wait({dispatching})
        if connection.websocket is not None:
            await connection.websocket.close()


async def _open_tabs(connection: iterm2.Connection, count: int) -> list[str]:
    """Hidden tabs of the window that is there already: a clock in the first, nothing that prints in the others."""
    layout = await rpc.async_list_sessions(connection)
    window = layout.list_sessions_response.windows[0].window_id
    commands = [shlex.join((sys.executable, "-c", CLOCK)), *["/bin/cat"] * (count - 1)]
    return [await _open_tab(connection, window, command) for command in commands]


async def _open_tab(connection: iterm2.Connection, window: str, command: str) -> str:
    profile = LocalWriteOnlyProfile()
    profile.set_use_custom_command("Yes")
    profile.set_command(command)
    reply = await rpc.async_create_tab(connection, window=window, profile_customizations=profile.values, select=False)
    return reply.create_tab_response.session_id
