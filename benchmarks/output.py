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
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from benchmarks import cpu
from benchmarks.console import open_console
from benchmarks.desk import CLOCK, SETTLE_S, Desk, open_desk, viewing, watching_clocks
from benchmarks.figures import Times, verdict
from benchmarks.office import BenchOffice
from semo_agent.transcript import Transcript
from semo_office.locations import StateFolder

WATCH_S = float(os.environ.get("SEMO_BENCH_WATCH_S", "15"))
IDLE_S = float(os.environ.get("SEMO_BENCH_IDLE_S", "120"))
FLOOD_BYTES = 50_000_000
FLOOD_LINE = 100
AIM_P50_MS, AIM_P99_MS, AIM_FLOOD_P99_MS = 60.0, 150.0, 250.0
AIM_IDLE_PERCENT, AIM_AGENT_PERCENT = 3.0, 1.0

FLOOD = f"for n in range({FLOOD_BYTES // FLOOD_LINE}): print(f'{{n:08}}'.ljust({FLOOD_LINE - 1}, 'x'))"


async def measure(office: BenchOffice) -> list[str]:
    """Lines to print."""
    async with open_desk(office) as desk:
        lines = await _idle_costs(desk, office)
        lines += await asyncio.to_thread(_tmux_polled, IDLE_S / 4)
        twenty = await desk.sessions(20)
        for count in (1, 10, 20):
            lines += await _latency(desk, twenty[:count])
        return lines + await _flood(desk, twenty, office)


async def measure_idle(office: BenchOffice) -> list[str]:
    """Lines to print, of what it costs alone."""
    async with open_desk(office) as desk:
        return await _idle_costs(desk, office)


async def _idle_costs(desk: Desk, office: BenchOffice) -> list[str]:
    await desk.sessions(3)
    lines = await _idle("idle, 3 sessions, the console open", office, IDLE_S)
    await desk.sessions(20)
    return lines + await _idle("idle, 20 sessions, the console open", office, IDLE_S / 2, agent_only=True)


async def _latency(desk: Desk, session_ids: Sequence[UUID]) -> list[str]:
    async with watching_clocks(desk, session_ids) as delays:
        await asyncio.sleep(WATCH_S)
        times = Times(f"output → viewer, {len(session_ids)} active sessions", list(delays))
    lines = [times.line()]
    if len(session_ids) == 20:
        lines += [verdict("p50 at 20", times.p50, AIM_P50_MS), verdict("p99 at 20", times.p99, AIM_P99_MS)]
    return lines


async def _flood(desk: Desk, session_ids: Sequence[UUID], office: BenchOffice) -> list[str]:
    flooded, others = session_ids[0], session_ids[1:]
    async with desk.running(CLOCK, others), viewing(desk, session_ids) as viewer:
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
