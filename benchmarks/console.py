"""The console: from the start of the process to its first paint, and from a key to the screen under a flood."""

import asyncio
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from uuid import UUID

from benchmarks.figures import Times, verdict
from benchmarks.office import BenchOffice
from semo_office.events import OutputView, SessionOutput
from tests.snapshot.scene import Scene, session

AIM_FIRST_PAINT_MS = 800.0
AIM_KEY_MS = 100.0
SIZE = (120, 40)
STARTS = 10
KEYS = 300
FLOOD_MESSAGES_PER_S = 40
FLOOD_ROWS = 250
DEADLINE_S = 60.0


def measure(office: BenchOffice) -> list[str]:
    """Lines to print."""
    paints = [_first_paint(office) for _ in range(STARTS)]
    wall = Times("first paint of the console", [paint[0] for paint in paints])
    cpu = Times("  CPU time until then", [paint[1] for paint in paints])
    keys = Times("key to screen, one session floods", asyncio.run(_keys_under_a_flood()))
    return [
        wall.line(),
        cpu.line(),
        keys.line(),
        verdict("first paint, p50", wall.p50, AIM_FIRST_PAINT_MS),
        verdict("key to screen, p99", keys.p99, AIM_KEY_MS),
    ]


def _first_paint(office: BenchOffice) -> tuple[float, float]:
    """Start `semo console` in a terminal of its own; wall and CPU time until it has painted, ms."""
    with TemporaryDirectory() as scratch:
        timing = Path(scratch) / "painted"
        began = time.time()
        with _console(office, {"SEMO_CONSOLE_TIMING": str(timing)}) as terminal:
            _read_until(terminal, timing)
            painted, cpu = (float(word) for word in timing.read_text().split())
    return (painted - began) * 1000, cpu * 1000


@contextmanager
def open_console(office: BenchOffice) -> Iterator[None]:
    """The real console is open meanwhile, and somebody looks at it."""
    with _console(office, {}) as terminal:
        looking = Thread(target=_drain, args=(terminal,), name="terminal of the console", daemon=True)
        looking.start()
        yield


@contextmanager
def _console(office: BenchOffice, variables: Mapping[str, str]) -> Iterator[int]:
    """The console in a terminal of its own; our end of it."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "semo_console", "console", "--state-dir", str(office.state_dir)],
        env={**office.environment, "TERM": "xterm-256color", **variables},
        cwd=office.state_dir.parent,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield ours
    finally:
        process.terminate()
        _drain(ours)
        process.wait()
        os.close(ours)


def _read_until(terminal: int, timing: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not (timing.exists() and timing.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError("the console has not painted")
        if select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 65_536)


def _drain(terminal: int) -> None:
    """A program that ends waits for a reader of its last words."""
    with suppress(OSError):
        while select.select([terminal], [], [], DEADLINE_S)[0] and os.read(terminal, 65_536):
            pass


async def _keys_under_a_flood() -> list[float]:
    """Press j and k while the shown session's output changes as fast as an agent sends it, ms each."""
    sessions = [session(number) for number in range(1, 21)]
    views: dict[UUID, OutputView] = {each.session_id: OutputView() for each in sessions}
    scene = Scene(*sessions, outputs=dict(views))
    times: list[float] = []
    async with scene.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        flood = asyncio.create_task(_flood(scene, views), name="flood")
        for number in range(KEYS):
            before = scene.state.roster.selected
            began = time.perf_counter()
            scene.app.simulate_key("j" if number % 38 < 19 else "k")
            await _until_painted(scene, before)
            times.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
        flood.cancel()
    return times


async def _until_painted(scene: Scene, before: UUID | None) -> None:
    """Until the selection has moved, and the frame with it has been made."""
    while scene.state.roster.selected == before:  # noqa: ASYNC110  # an event would come later than the step
        await asyncio.sleep(0)
    painted = asyncio.Event()
    scene.app.screen.call_after_refresh(painted.set)
    await asyncio.wait_for(painted.wait(), DEADLINE_S)


async def _flood(scene: Scene, views: Mapping[UUID, OutputView]) -> None:
    """New rows for whatever is shown, many times a second."""
    made = dict.fromkeys(views, 0)
    while True:
        for session_id in scene.wire.watched:
            made[session_id] += 1
            output = _output(session_id, made[session_id])
            changed = views[session_id].apply(output).first_changed
            scene.app.tell_output(session_id, views[session_id].end if changed is None else changed)
        await asyncio.sleep(1 / FLOOD_MESSAGES_PER_S)


def _output(session_id: UUID, seq: int) -> SessionOutput:
    first = (seq - 1) * FLOOD_ROWS
    rows = tuple(
        f"\x1b[{31 + number % 6}m{number:>8}\x1b[0m \x1b[1mbuild\x1b[0m 한글 {'x' * 60} ok"
        for number in range(first, first + FLOOD_ROWS)
    )
    return SessionOutput(
        session_id=session_id,
        instance=UUID(int=1),
        seq=seq,
        epoch=0,
        first=first,
        rows=rows,
        base=first + FLOOD_ROWS - 40,
        cols=120,
        screen_rows=40,
        cursor=(39, 0),
        cursor_row=39,
        alternate=False,
        title="",
        at_ms=0,
    )
