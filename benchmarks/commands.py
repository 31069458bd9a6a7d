"""A command that does nothing, from the insert to the result in the caller's hand, beside two job queues.

The command is `cancel` of a session at its prompt: the agent finds it idle and types nothing. It goes all of a
command's way: two processes that talk to the office by REST under their own identities and its row-level security,
functions that check the right to it, the receipt, the lane, hints over a WebSocket, and the result read back.
The queues have one process with its own connections to the database, no rights and no receipt (`benchmarks/peers.py`).
All of them are measured in the same run on the same PostgreSQL, in turns.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from benchmarks.figures import Times, verdict
from benchmarks.office import BenchOffice
from benchmarks.peers import AT_ONCE, Claims, Peer, pgqueuer_peer, procrastinate_peer
from semo_hub.postgres import SUPERUSER, Postgres
from semo_office.commands import CommandRepository, NewCommand
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import Cancel, CreateSession
from semo_office.offices import OfficeStore
from tests.integration.sql.office import SqlOffice

WARM_UP = 30
SINGLE = 300
ROUNDS = 5
PER_ROUND = 200
CLAIMED = 1000
DEADLINE_S = 30.0
WRITES_PER_COMMAND, READS_PER_COMMAND = 3, 1
AIM_ABOVE_FLOOR_MS = 10.0
AIM_TIMES_SLOWER = 5.0

NoOp = Callable[[], Awaitable[None]]

HOPS: Final = (
    "insert: request → written",
    "hint and claim: written → claimed",
    "agent and complete: claimed → completed",
    "hint and read: completed → in hand",
)


async def measure(office: BenchOffice) -> list[str]:
    """Lines to print."""
    superuser = Postgres(office.state_dir / "postgres").conninfo(SUPERUSER)
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(
            await Link.open(CredentialsFile(StateFolder(office.state_dir), "operator"))
        )
        peers = [
            await stack.enter_async_context(procrastinate_peer(superuser)),
            await stack.enter_async_context(pgqueuer_peer(superuser)),
        ]
        desk = _Desk(link, office)
        await desk.open_sessions(AT_ONCE)
        return [
            *await _one_at_a_time(desk, peers),
            *await _many_at_once(desk, peers),
            *await _claims(superuser, peers),
        ]


class _Desk:
    """The caller's side of SEMO."""

    def __init__(self, link: Link, office: BenchOffice) -> None:
        self._commands = CommandRepository(link)
        self._dispatcher = CommandDispatcher(self._commands, office.office_id)
        self._stores = OfficeStore(link)
        self._link = link
        self._office_id = office.office_id
        self._sessions = [office.session_id]
        self.traces: list[_Trace] = []

    async def open_sessions(self, count: int) -> None:
        while len(self._sessions) < count:
            outcome = await self._dispatcher.dispatch_create_session(CreateSession(profile="shell"), timeout=60)
            assert outcome.result is not None, outcome
            self._sessions.append(outcome.command.session_id)

    async def read(self) -> None:
        """One row by key."""
        await self._stores.get_office(self._office_id)

    async def write(self) -> None:
        """The least that is committed: one hint to the office."""
        await self._link.rpc("ring_office", {"p_office_id": str(self._office_id), "p_nonce": str(uuid4())})

    async def no_op(self, number: int = 0) -> None:
        """What `dispatch_cancel` does, with the times in between noted."""
        command = NewCommand.carrying(Cancel(), office_id=self._office_id, session_id=self._sessions[number])
        began = time.time()
        async with self._commands.expect(command) as change:
            await self._commands.create_command(command)
            outcome = await self._commands.settle(change, command.id, DEADLINE_S)
        assert outcome.result is not None, outcome
        assert outcome.result.result == {"was_idle": True}, outcome
        at = {event.stage: event.at.timestamp() for event in outcome.events}
        self.traces.append(_Trace((began, at["queued"], at["claimed"], at["completed"], time.time())))


@dataclass(frozen=True)
class _Trace:
    """When each hop of one command began and ended, s by the one clock of this machine."""

    moments: Sequence[float]

    def hops(self) -> list[float]:
        """ms"""
        return [(end - start) * 1000 for start, end in zip(self.moments, self.moments[1:], strict=False)]


async def _one_at_a_time(desk: _Desk, peers: Sequence[Peer]) -> list[str]:
    actions: list[NoOp] = [desk.read, desk.write, desk.no_op, *(peer.run for peer in peers)]
    for action in actions:
        await _repeat(action, WARM_UP)
    desk.traces.clear()
    # Taken in turns, so that whatever else the machine does falls on all alike.
    rounds = [[await _time(action) for action in actions] for _ in range(SINGLE)]
    names = ["request to the hub that reads a row by key", "request to the hub that writes one hint"]
    names += ["SEMO: no-op command", *(f"{peer.name}: no-op job" for peer in peers)]
    reads, writes, commands, *jobs = map(Times, names, zip(*rounds, strict=True))
    floor = WRITES_PER_COMMAND * writes.p50 + READS_PER_COMMAND * reads.p50
    fastest = min(job.p50 for job in jobs)
    hops = [
        Times(name, values)
        for name, values in zip(HOPS, zip(*(t.hops() for t in desk.traces), strict=True), strict=True)
    ]
    return [
        "  one at a time",
        *(times.line() for times in (reads, writes, commands, *jobs)),
        f"  SEMO's p50 is {commands.p50 / fastest:.1f} times that of the faster queue",
        "  where the time of a command goes",
        *(hop.line() for hop in hops),
        f"  floor: create, claim and complete write, one reads{'':<10} p50 {floor:8.2f} ms",
        verdict("p50 of a command", commands.p50, floor + AIM_ABOVE_FLOOR_MS),
    ]


async def _many_at_once(desk: _Desk, peers: Sequence[Peer]) -> list[str]:
    """Each of 20 callers sends its next when it has the result of its last: SEMO's each to a session of its own."""
    names = ["SEMO", *(peer.name for peer in peers)]
    lanes: list[list[NoOp]] = [[_for_session(desk, number) for number in range(AT_ONCE)]]
    lanes += [[peer.run] * AT_ONCE for peer in peers]
    for callers in lanes:
        await _flow(callers, PER_ROUND // 4)
    flows = [[await _flow(callers, PER_ROUND) for callers in lanes] for _ in range(ROUNDS)]
    lines, rates = [f"  {AT_ONCE} in flight"], list[float]()
    for name, runs in zip(names, zip(*flows, strict=True), strict=True):
        times = Times(f"{name}: no-op", [value for run in runs for value in run.values])
        rates.append(len(times.values) / sum(run.seconds for run in runs))
        lines += [times.line() + f"   {rates[-1]:7.1f}/s"]
    slower = max(rates[1:]) / rates[0]
    told = "reached" if slower <= AIM_TIMES_SLOWER else "MISSED"
    return [*lines, f"  the faster queue does {slower:.1f} times as many   aim {AIM_TIMES_SLOWER:.0f}   {told}"]


def _for_session(desk: _Desk, number: int) -> NoOp:
    return lambda: desk.no_op(number)


@dataclass(frozen=True)
class _Flow:
    values: Sequence[float]
    seconds: float


async def _flow(callers: Sequence[NoOp], count: int) -> _Flow:
    values: list[float] = []

    async def send(action: NoOp) -> None:
        values.extend([await _time(action) for _ in range(count // len(callers))])

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for action in callers:
            group.create_task(send(action))
    return _Flow(values, time.perf_counter() - began)


async def _claims(superuser: str, peers: Sequence[Peer]) -> list[str]:
    """The claim alone, straight in the database: what waits already, handed out to one worker."""
    claims = {"SEMO, 20 at a time": await asyncio.to_thread(_claim_all, superuser, CLAIMED)}
    claims |= {f"{peer.name}, {_SIZES[peer.name]}": await peer.claim_all(CLAIMED) for peer in peers}
    return [
        "  claims, straight in the database",
        *(f"  {name:<46} {of.per_second:8.0f}/s" for name, of in claims.items()),
    ]


_SIZES: Final = {"procrastinate": "one at a time", "pgqueuer": "20 at a time"}


def _claim_all(superuser: str, wanted: int) -> Claims:
    office = SqlOffice(superuser)
    session: UUID = office.new_session()
    for _ in range(wanted):
        office.send("get_output", {}, session)
    began, claimed = time.perf_counter(), 0
    while claimed < wanted:
        some = len(office.claim(AT_ONCE))
        assert some, f"{claimed} of {wanted} were handed out"
        claimed += some
    took = time.perf_counter() - began
    office.close()
    return Claims(claimed, took)


async def _time(action: NoOp) -> float:
    began = time.perf_counter()
    await action()
    return (time.perf_counter() - began) * 1000


async def _repeat(action: NoOp, times: int) -> None:
    for _ in range(times):
        await action()
