"""One soak: a world, a load, chaos while it runs, and the verdict."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from tests.soak.chaos import Chaos
from tests.soak.plan import Item, make_plan, write_plan
from tests.soak.verdict import Verdict, judge
from tests.soak.world import Process, World

END_S: Final = 1800.0
DROPPED_SHARE: Final = 0.1


@dataclass(frozen=True)
class Size:
    """chaos_every: s between two things that happen; work_s: how long a turn takes at most."""

    agents: int
    sessions_each: int
    commands: int
    clients: int
    chaos_every: float = 1.0
    work_s: float = 0.05


@dataclass
class Outcome:
    verdict: Verdict
    chaos: Chaos
    seconds: float
    probes_failed: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, object]:
        found: dict[str, object] = dict(self.verdict.faults)
        if self.chaos.stale_accepted:
            found["accepted under a lost claim"] = self.chaos.stale_accepted
        if self.probes_failed:
            found["stuck sessions"] = self.probes_failed
        return found

    def table(self) -> list[str]:
        return [
            *self.verdict.table(),
            f"lost claims accepted {self.chaos.stale_accepted}, stuck sessions {len(self.probes_failed)}",
            f"done to it: {dict(self.chaos.done)}",
            f"{self.seconds:.1f} s, {self.verdict.commands / self.seconds:.1f} commands/s",
        ]


@contextmanager
def running_world(folder: Path, size: Size, options: Sequence[str] = ()) -> Iterator[World]:
    world = World(folder, size.agents, options)
    try:
        world.start_agents(size.sessions_each)
        yield world
    finally:
        world.close()


class Soak:
    """A load on a running world."""

    def __init__(self, world: World, size: Size, seed: int) -> None:
        self.world = world
        self._size = size
        self._dice = random.Random(seed)
        self.chaos = Chaos(world, random.Random(seed + 1))
        self._began = time.monotonic()
        self._items: list[Item] = []

    def run(self) -> Outcome:
        """The whole of it, chaos included."""
        self.chaos.drop_hints(DROPPED_SHARE)
        clients = self.start_clients(self._size.commands)
        while not all(client.has_ended() for client in clients):
            self.chaos.step(clients)
            assert time.monotonic() < self._began + END_S, "the soak does not come to its end"
            time.sleep(self._dice.uniform(0, 2 * self._size.chaos_every))
        return self.judge()

    def start_clients(self, commands: int) -> list[Process]:
        """Begin to send so many commands, shared out among the clients."""
        sessions = [session for host in self.world.hosts for session in host.sessions]
        items = make_plan(self._dice, sessions, commands, self._size.work_s, len(self._items))
        started = []
        for number in range(self._size.clients):
            plan = self.world.folder / f"client{len(self.world.clients)}.jsonl"
            write_plan(plan, items[number :: self._size.clients])
            started.append(self.world.start_client(plan))
        self._items += items
        return started

    def judge(self) -> Outcome:
        """What is true now; every client must have ended."""
        seconds = time.monotonic() - self._began
        probes_failed = self._probe()
        rows = self.world.rows("select id, sequence, status, error from agent_commands")
        lane_steps = self.world.rows(
            "select c.session_id, e.command_id, e.stage from agent_command_events e"
            " join agent_commands c on c.id = e.command_id where not c.urgent order by e.id"
        )
        terminals = [host.terminal for host in self.world.hosts]
        told = self.world.folder.glob("client*.told")
        return Outcome(judge(self._items, rows, lane_steps, terminals, told), self.chaos, seconds, probes_failed)

    def _probe(self) -> list[str]:
        """Sessions that live and do not take one more prompt."""
        living = [
            row["session_id"] for row in self.world.rows("select session_id from agent_sessions where ended_at is null")
        ]
        plan = self.world.folder / "probe.jsonl"
        items = [
            Item(session_id=session, command_id=number, kind="prompt", text=f"probe-{number}", twice=False)
            for session, number in ((session, _id(self._dice)) for session in living)
        ]
        write_plan(plan, items)
        probe = self.world.start_client(plan)
        self.world.await_(probe.has_ended, "the probes have ended")
        self._items += items
        done = self.world.rows("select id from agent_commands where status = 'completed'")
        completed = {row["id"] for row in done}
        (plan.with_suffix(".told")).rename(self.world.folder / "client-probe.told")
        return [str(item.session_id) for item in items if item.command_id not in completed]


def _id(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)
