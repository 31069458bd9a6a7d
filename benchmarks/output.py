"""Output written by a program → row in a viewer's hand, and what it costs when nothing happens.

Every program prints the time each 100 ms; the viewer is a process of its own that watches as a console does.
"""

import asyncio
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from benchmarks import cpu
from benchmarks.console import open_console
from benchmarks.figures import Times, verdict
from benchmarks.office import BenchOffice
from semo_agent.transcript import Transcript
from semo_office.commands import CommandRepository
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.events import OutputView, OutputWatch, SessionRealtimeEvents
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import CreateSession

MEASURE_S = 15.0
IDLE_S = float(os.environ.get("SEMO_BENCH_IDLE_S", "120"))
FLOOD_BYTES = 50_000_000
FLOOD_LINE = 100
SETTLE_S = 3.0
DEADLINE_S = 400.0
AIM_P50_MS, AIM_P99_MS, AIM_FLOOD_P99_MS = 60.0, 150.0, 250.0
AIM_IDLE_PERCENT, AIM_AGENT_PERCENT = 3.0, 1.0

CLOCK = "import time\nwhile True: print('T', time.time_ns(), flush=True); time.sleep(0.1)"
FLOOD = f"for n in range({FLOOD_BYTES // FLOOD_LINE}): print(f'{{n:08}}'.ljust({FLOOD_LINE - 1}, 'x'))"
_STAMP = re.compile(r"^T (\d{19})\b")


async def measure(office: BenchOffice) -> list[str]:
    """Lines to print."""
    async with _desk(office) as desk:
        lines = await _idle_costs(desk, office)
        lines += await asyncio.to_thread(_tmux_polled, IDLE_S / 4)
        twenty = await desk.sessions(20)
        for count in (1, 10, 20):
            lines += await _latency(desk, twenty[:count])
        return lines + await _flood(desk, twenty, office)


async def measure_idle(office: BenchOffice) -> list[str]:
    """Lines to print, of what it costs alone."""
    async with _desk(office) as desk:
        return await _idle_costs(desk, office)


async def _idle_costs(desk: "_Desk", office: BenchOffice) -> list[str]:
    await desk.sessions(3)
    lines = await _idle("idle, 3 sessions, the console open", office, IDLE_S)
    await desk.sessions(20)
    return lines + await _idle("idle, 20 sessions, the console open", office, IDLE_S / 2, agent_only=True)


@asynccontextmanager
async def _desk(office: BenchOffice) -> AsyncIterator["_Desk"]:
    async with await Link.open(CredentialsFile(StateFolder(office.state_dir), "operator")) as link:
        yield _Desk(link, office)


class _Desk:
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


class _Viewer:
    """Applies what comes, and takes the time of every row that is new."""

    def __init__(self, watch: OutputWatch) -> None:
        self._watch = watch
        self._views: dict[UUID, OutputView] = {}
        self._newest: dict[UUID, int] = {}
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
                self._take_times(output.session_id, view.rows()[applied.first_changed - view.first :])

    def _take_times(self, session_id: UUID, rows: Sequence[str]) -> None:
        now = time.time_ns()
        for row in rows:
            if (stamp := _STAMP.match(row)) and (written := int(stamp[1])) > self._newest.get(session_id, 0):
                self._newest[session_id] = written
                self.delays.append((now - written) / 1e6)


@asynccontextmanager
async def _viewing(desk: _Desk, session_ids: Sequence[UUID]) -> AsyncIterator[_Viewer]:
    async with desk.watch(session_ids) as watch:
        viewer = _Viewer(watch)
        looking = asyncio.create_task(viewer.look(), name="viewer")
        try:
            yield viewer
            assert not looking.done(), looking
        finally:
            looking.cancel()
            await asyncio.wait({looking})


async def _latency(desk: _Desk, session_ids: Sequence[UUID]) -> list[str]:
    async with desk.running(CLOCK, session_ids), _viewing(desk, session_ids) as viewer:
        await asyncio.sleep(SETTLE_S)
        viewer.delays.clear()
        await asyncio.sleep(MEASURE_S)
        times = Times(f"output → viewer, {len(session_ids)} active sessions", list(viewer.delays))
    lines = [times.line()]
    if len(session_ids) == 20:
        lines += [verdict("p50 at 20", times.p50, AIM_P50_MS), verdict("p99 at 20", times.p99, AIM_P99_MS)]
    return lines


async def _flood(desk: _Desk, session_ids: Sequence[UUID], office: BenchOffice) -> list[str]:
    flooded, others = session_ids[0], session_ids[1:]
    async with desk.running(CLOCK, others), _viewing(desk, session_ids) as viewer:
        await asyncio.sleep(SETTLE_S)
        viewer.delays.clear()
        began = time.monotonic()
        await desk.run(FLOOD, flooded)
        took = time.monotonic() - began
        times = Times(f"the {len(others)} others beside a flood", list(viewer.delays))
    await asyncio.sleep(SETTLE_S)
    kept, exact = await asyncio.to_thread(_read_transcript, office, flooded)
    size = FLOOD_BYTES // 1_000_000
    return [
        times.line(),
        verdict("p99 of the others", times.p99, AIM_FLOOD_P99_MS),
        f"  flood of {size} MB: {took:.1f} s, the last {kept} lines kept, {'exact' if exact else 'NOT EXACT'}",
    ]


def _read_transcript(office: BenchOffice, session_id: UUID) -> tuple[int, bool]:
    """How many lines of the flood are kept, and whether none of them is missing, twice or wrong."""
    source = StateFolder(office.state_dir).agent / "transcripts"
    with tempfile.TemporaryDirectory() as copy:
        # A copy: loading cuts off what the agent is still to count.
        shutil.copytree(source / str(session_id), Path(copy) / str(session_id))
        transcript = Transcript(Path(copy), str(session_id))
        transcript.load()
        view = transcript.view()
        texts = [line.text for line in view.lines(view.first, view.end)]
    flood = [text for text in texts if re.fullmatch(r"\d{8}x+", text)]
    numbers = [int(text[:8]) for text in flood]
    whole = all(len(text) == FLOOD_LINE - 1 for text in flood)
    last = FLOOD_BYTES // FLOOD_LINE - 1
    # The last rows stand on the screen and are no lines yet.
    ends_there = bool(numbers) and last - 40 <= numbers[-1] <= last
    return len(flood), whole and ends_there and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def _idle(title: str, office: BenchOffice, seconds: float, *, agent_only: bool = False) -> list[str]:
    if not cpu.available():
        return [f"  {title}: not measured, there is no /proc"]
    with open_console(office):
        await asyncio.sleep(SETTLE_S)
        before, began = cpu.seconds_by_process(str(office.state_dir)), time.monotonic()
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        after = cpu.seconds_by_process(str(office.state_dir))
    agent = json.loads(StateFolder(office.state_dir).process_record("agent").read_text())["pid"]
    of_agent = 100 * (after[agent] - before[agent]) / lasted
    everything = 100 * cpu.spent(before, after) / lasted
    told = f"all processes {everything:.2f} %, of it agent {of_agent:.2f} % of a core"
    value, aim = (of_agent, AIM_AGENT_PERCENT) if agent_only else (everything, AIM_IDLE_PERCENT)
    return [f"  {title}, {lasted:.0f} s: {told}   aim {aim:.0f} %   {'reached' if value <= aim else 'MISSED'}"]


def _tmux_polled(seconds: float) -> list[str]:
    """What others do: `tmux capture-pane` for each of 3 sessions every 500 ms."""
    if shutil.which("tmux") is None or not cpu.available():
        return ["  tmux capture-pane every 500 ms: not measured, there is no tmux"]
    with tempfile.TemporaryDirectory(prefix="semo-tmux-") as folder:
        tmux = ["tmux", "-S", f"{folder}/s", "-f", "/dev/null"]
        for name in "abc":
            subprocess.run([*tmux, "new-session", "-d", "-s", name, "sh"], check=True)
        try:
            used = _poll_panes(tmux, folder, seconds)
        finally:
            subprocess.run([*tmux, "kill-server"], check=True)
    return [
        f"  beside it, tmux capture-pane forked every 500 ms for 3 sessions: {100 * used / seconds:.2f} % of a core"
    ]


def _poll_panes(tmux: list[str], folder: str, seconds: float) -> float:
    before, forked = cpu.seconds_by_process(folder), _children_s()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in "abc":
            subprocess.run([*tmux, "capture-pane", "-p", "-e", "-t", name], check=True, stdout=subprocess.DEVNULL)
        time.sleep(0.5)
    return cpu.spent(before, cpu.seconds_by_process(folder)) + _children_s() - forked


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
