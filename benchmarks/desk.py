"""A viewer of its own office: makes sessions, lets programs run in them, and takes the time of what it sees."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from benchmarks.office import BenchOffice
from semo_office.commands import CommandRepository
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.events import OutputView, OutputWatch, SessionRealtimeEvents
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import CreateSession

DEADLINE_S = 400.0
SETTLE_S = 3.0

CLOCK = "import time\nwhile True: print('T', time.time_ns(), flush=True); time.sleep(0.1)"
"""Prints the time every 100 ms."""
_STAMP = re.compile(r"^T (\d{19})\b")
"""A row of it, with the time in ns."""


class Desk:
    """The viewer's side."""

    def __init__(self, link: Link, office: BenchOffice) -> None:
        self._dispatcher = CommandDispatcher(CommandRepository(link), office.office_id)
        self._events = SessionRealtimeEvents(link)
        self._office = office
        self._made = [office.session_id]

    async def sessions(self, count: int) -> list[UUID]:
        while len(self._made) < count:
            outcome = await self._dispatcher.dispatch_create_session(CreateSession(profile="shell"), timeout=60)
            assert outcome.result is not None, outcome
            self._made.append(outcome.command.session_id)
        return self._made[:count]

    def watch(self, session_ids: Sequence[UUID]) -> OutputWatch:
        return self._events.watch_output(self._office.office_id, session_ids)

    @asynccontextmanager
    async def running(self, program: str, session_ids: Sequence[UUID]) -> AsyncIterator[None]:
        """The program runs in these sessions."""
        for session_id in session_ids:
            await self._dispatcher.dispatch_send_prompt(session_id, f'python3 -c "{program}"')
        try:
            yield
        finally:
            for session_id in session_ids:
                await self._dispatcher.dispatch_cancel(session_id, timeout=30)

    async def run(self, program: str, session_id: UUID) -> None:
        outcome = await self._dispatcher.dispatch_send_prompt(session_id, f'python3 -c "{program}"', timeout=DEADLINE_S)
        assert outcome.result is not None, outcome
        assert outcome.result.success, outcome.result


@asynccontextmanager
async def open_desk(office: BenchOffice) -> AsyncIterator[Desk]:
    async with await Link.open(CredentialsFile(StateFolder(office.state_dir), "operator")) as link:
        yield Desk(link, office)


@dataclass
class Stopwatch:
    """Takes the time of every row of one clock that was not seen before."""

    delays: list[float]
    """From its writing until it is noted, ms."""
    newest: int = 0

    def note(self, rows: Iterable[str]) -> None:
        now = time.time_ns()
        for row in rows:
            if (stamp := _STAMP.match(row)) and (written := int(stamp[1])) > self.newest:
                self.newest = written
                self.delays.append((now - written) / 1e6)


class Viewer:
    """Applies what comes, and takes the time of every row that is new."""

    def __init__(self, watch: OutputWatch) -> None:
        self._watch = watch
        self._views: dict[UUID, OutputView] = {}
        self._watches: dict[UUID, Stopwatch] = {}
        self.delays: list[float] = []
        self.gaps = 0

    async def look(self) -> None:
        async for output in self._watch:
            view = self._views.setdefault(output.session_id, OutputView())
            applied = view.apply(output)
            if applied.gap:
                self.gaps += 1
                self._watch.resync(output.session_id)
            if applied.first_changed is not None:
                stopwatch = self._watches.setdefault(output.session_id, Stopwatch(self.delays))
                stopwatch.note(view.rows()[applied.first_changed - view.first :])


@asynccontextmanager
async def viewing(desk: Desk, session_ids: Sequence[UUID]) -> AsyncIterator[Viewer]:
    async with desk.watch(session_ids) as watch:
        viewer = Viewer(watch)
        looking = asyncio.create_task(viewer.look(), name="viewer")
        try:
            yield viewer
            assert not looking.done(), looking
        finally:
            looking.cancel()
            await asyncio.wait({looking})


@asynccontextmanager
async def watching_clocks(desk: Desk, session_ids: Sequence[UUID]) -> AsyncIterator[list[float]]:
    """A clock runs in each of these sessions; the delays, ms, of the rows that come in the block."""
    async with desk.running(CLOCK, session_ids), viewing(desk, session_ids) as viewer:
        await asyncio.sleep(SETTLE_S)
        viewer.delays.clear()
        yield viewer.delays
