"""The terminals side by side: from a program's output to a viewer's hand, and what 20 sessions cost.

In place of iTerm2 stands a server that speaks its protocol (`tests/iterm2_server`), with real programs behind it; what
that uses of the processor says nothing about iTerm2's own drawing. All tabs but the first are hidden ones.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from uuid import UUID

from benchmarks import cpu, hidden_tabs
from benchmarks.desk import SETTLE_S, Desk, open_desk, watching_clocks
from benchmarks.figures import Times
from benchmarks.office import BenchOffice, bench_office
from benchmarks.output import IDLE_S, WATCH_S
from semo_office.locations import StateFolder
from tests.iterm2_server.running import RunningITerm2

TERMINALS = ("pty", "tmux", "iterm2")
COUNTS = (1, 10, 20)
LINES = 10_000
FILL = f"for n in range({LINES}): print(f'{{n:08}}'.ljust(79, 'x'))"
AIM_SESSION_MB = 2.0


@dataclass(frozen=True)
class _Cost:
    """Percent of a core, or MB of private memory. What runs in the sessions counts as the terminal's."""

    agent: float
    terminal: float


@dataclass(frozen=True)
class _Column:
    """What one terminal did. watched: by the number of sessions in which a clock ran."""

    terminal: str
    watched: Mapping[int, Times]
    watching: _Cost
    """While a clock ran in the first of the 20 alone."""
    idle: _Cost
    session: _Cost
    """By what the memory grew with each session."""


def measure() -> list[str]:
    """Lines to print."""
    if not cpu.available():
        return ["  not measured, there is no /proc"]
    columns = [_column(terminal) for terminal in TERMINALS]
    return [*_table(columns), *_hidden(columns[-1])]


def _column(terminal: str) -> _Column:
    with _office(terminal) as (office, mentions):
        return asyncio.run(_measure(terminal, office, mentions))


@contextmanager
def _office(terminal: str) -> Iterator[tuple[BenchOffice, Sequence[str]]]:
    """An office on a terminal, and what the command lines of that terminal's own processes mention."""
    if terminal != "iterm2":
        with bench_office(terminal) as office:
            yield office, [str(StateFolder(office.state_dir).agent)]
        return
    with RunningITerm2.start() as iterm2, bench_office(terminal, iterm2.environment) as office:
        yield office, [str(StateFolder(office.state_dir).agent), str(iterm2.home)]


async def _measure(terminal: str, office: BenchOffice, mentions: Sequence[str]) -> _Column:
    async with open_desk(office) as desk:
        warm = office.session_id
        await desk.run(FILL, warm)
        before = await _memory(office, mentions)
        sessions = [each for each in await desk.sessions(1 + COUNTS[-1]) if each != warm]
        for session_id in sessions:
            await desk.run(FILL, session_id)
        after = await _memory(office, mentions)
        idle = await _cost(office, mentions, IDLE_S / 2)
        watched = [await _watch(desk, office, mentions, sessions[:count]) for count in COUNTS]
    session = _Cost(*((now - then) / len(sessions) for now, then in zip(astuple(after), astuple(before), strict=True)))
    times = {count: each for count, (each, _) in zip(COUNTS, watched, strict=True)}
    return _Column(terminal, times, watched[0][1], idle, session)


async def _watch(
    desk: Desk, office: BenchOffice, mentions: Sequence[str], session_ids: Sequence[UUID]
) -> tuple[Times, _Cost]:
    async with watching_clocks(desk, session_ids) as delays:
        cost = await _cost(office, mentions, WATCH_S)
        return Times(f"{len(session_ids)} active", list(delays)), cost


async def _cost(office: BenchOffice, mentions: Sequence[str], seconds: float) -> _Cost:
    """The processor's time of so many seconds."""
    agent = _agent_pid(office)
    looks = [_look(agent, mentions)]
    began = time.monotonic()
    await asyncio.sleep(seconds)
    looks.append(_look(agent, mentions))
    lasted = time.monotonic() - began
    (agent_before, before), (agent_after, after) = looks
    return _Cost(100 * (agent_after - agent_before) / lasted, 100 * cpu.spent(before, after) / lasted)


def _look(agent: int, mentions: Sequence[str]) -> tuple[float, dict[int, float]]:
    """CPU time so far, s: of the agent, and of each of the terminal's own processes."""
    own = {pid: seconds for mention in mentions for pid, seconds in cpu.seconds_by_process(mention).items()}
    return cpu.seconds_of(agent), own


async def _memory(office: BenchOffice, mentions: Sequence[str]) -> _Cost:
    """What is used when what was printed last has been worked off."""
    await asyncio.sleep(SETTLE_S)
    agent = _agent_pid(office)
    _, own = _look(agent, mentions)
    return _Cost(cpu.private_mb(agent), sum(map(cpu.private_mb, own)))


def _agent_pid(office: BenchOffice) -> int:
    return int(json.loads(StateFolder(office.state_dir).process_record("agent").read_text())["pid"])


Cell = Callable[[_Column], str]


def _table(columns: Sequence[_Column]) -> list[str]:
    rows: list[tuple[str, Cell]] = [("", lambda column: column.terminal)]
    rows += [(f"output → viewer, {count} active: p50, p99", _times_of(count)) for count in COUNTS]
    rows += [
        ("20 idle sessions: the agent", lambda column: f"{column.idle.agent:.2f} %"),
        ("20 idle sessions: the terminal's processes", lambda column: f"{column.idle.terminal:.2f} %"),
        (f"a session with {LINES} lines: the agent", lambda column: f"{column.session.agent:.2f} MB"),
        (f"a session with {LINES} lines: terminal and shell", lambda column: f"{column.session.terminal:.2f} MB"),
    ]
    lines = [f"  {name:<46}{''.join(f'{cell(column):>18}' for column in columns)}" for name, cell in rows]
    most = max(column.session.agent for column in columns)
    return [
        *lines,
        f"  aim {AIM_SESSION_MB:.0f} MB of the agent's a session   {'reached' if most <= AIM_SESSION_MB else 'MISSED'}",
    ]


def _times_of(count: int) -> Cell:
    return lambda column: f"{column.watched[count].p50:.1f}, {column.watched[count].p99:.1f} ms"


def _hidden(iterm2: _Column) -> list[str]:
    """SEMO's way beside the one that it does not go."""
    times, cost = iterm2.watched[1], iterm2.watching
    ours = hidden_tabs.Reading("SEMO: the program's own bytes, to a viewer", times, None, cost.agent, cost.terminal)
    theirs = asyncio.run(hidden_tabs.measure(COUNTS[-1], WATCH_S))
    return [
        f"  {COUNTS[-1]} tabs of iTerm2, hidden, in one of which a clock runs, read by",
        *(reading.line() for reading in (ours, *theirs)),
    ]
