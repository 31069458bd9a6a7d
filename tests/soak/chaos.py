"""Everything that may happen to processes, at moments that a seed chooses."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, get_args
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from semo_agent.failpoints import Failpoint
from tests.soak.world import Host, Process, World

FAILPOINTS: Final[tuple[Failpoint, ...]] = get_args(Failpoint)
STEP_S: Final = 0.01
STALE: Final = {"stale": True}


@dataclass
class Chaos:
    """`step` does one thing. What was done is counted; `stale_accepted`: results that a lost claim could leave.

    `patience_s`: how long it waits for an agent to come to a failpoint.
    """

    world: World
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    stale_accepted: int = 0
    patience_s: float = 3.0

    def step(self, clients: Sequence[Process]) -> None:
        """One of all that may happen."""
        actions: list[tuple[float, Callable[[], None]]] = [
            (3, self.kill_agent),
            (4, self.kill_agent_on_its_way),
            (2, self.freeze_agent),
            (1, self.kill_hub),
            (2, lambda: self.kill_client(clients)),
            (1, lambda: self.replay_lost_claim(self._host())),
        ]
        weights, chosen = zip(*actions, strict=True)
        self.dice.choices(chosen, weights)[0]()

    def drop_hints(self, share: float) -> None:
        """So many of all hints never reach the gateway."""
        self.world.rows(
            "create or replace function public.soak_drop() returns trigger language plpgsql as "
            "$$ begin return case when new.event = 'hint' and random() < (select share from public.soak) "
            "then null else new end; end $$"
        )
        self.world.rows("create table if not exists public.soak (share float8)")
        self.world.rows("grant select on public.soak to public")
        self.world.rows("insert into public.soak values (%s)", share)
        self.world.rows(
            "create trigger soak_drop before insert on realtime.messages"
            " for each row execute function public.soak_drop()"
        )
        self.done["hints dropped, %"] = round(share * 100)

    def kill_agent(self) -> None:
        host = self._host()
        host.process.kill()
        self._start_again(host, "agents killed")

    def kill_agent_on_its_way(self) -> None:
        """Kill it at a named step of a prompt, if one comes by in time."""
        host, name = self._host(), self.dice.choice(FAILPOINTS)
        if self.stop_at(host, name, "kill"):
            host.process.kill()
            self._start_again(host, f"killed {name}")

    def freeze_agent(self) -> None:
        """Longer than its lease: what it had only claimed is given back behind its back."""
        host, name = self._host(), self.dice.choice(FAILPOINTS)
        if self.stop_at(host, name, "stop"):
            # Longer than its lease of 3 s.
            time.sleep(self.dice.uniform(3.0, 4.5))
            self.world.call(self.world.operator_id, "expire_commands")
            host.process.signal(signal.SIGCONT)
            self.done["agents frozen"] += 1

    def kill_hub(self) -> None:
        self.world.kill_hub()
        self.done["hubs killed"] += 1

    def kill_client(self, clients: Sequence[Process]) -> None:
        alive = [client for client in clients if not client.has_ended()]
        if alive:
            client = self.dice.choice(alive)
            client.kill()
            client.start()
            self.done["clients killed"] += 1

    def replay_lost_claim(self, host: Host) -> None:
        """A result under a claim that was given back and made anew, as a process that was frozen would send it."""
        if not self.stop_at(host, "after_claim", "stop"):
            return
        claims = self._claims(host)
        self.lapse(host)
        # A renewal that was on its way keeps the lease, and the claims with it.
        kept = self._claims(host)
        lost = {command_id: token for command_id, token in claims.items() if kept.get(command_id) != token}
        again = self.stop_at(host, "after_journal", "stop", meanwhile=lambda: host.process.signal(signal.SIGCONT))
        if again:
            self.stale_accepted += sum(self._complete(host, command_id, token) for command_id, token in lost.items())
            self.done["lost claims replayed"] += len(lost)
        host.process.signal(signal.SIGCONT)

    def stop_at(
        self, host: Host, name: Failpoint, action: str, *, meanwhile: Callable[[], None] = lambda: None
    ) -> bool:
        """Whether the agent came to this step of a prompt in time, and stopped there."""
        armed, reached = host.failpoints / name, host.failpoints / f"{name}.reached"
        armed.write_text(action)
        meanwhile()
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline and not reached.exists():
            time.sleep(STEP_S)
        with suppress(FileNotFoundError):
            armed.unlink()
        # It may have come there between the last look and the disarming.
        if reached.exists():
            reached.unlink()
            return True
        return False

    def lapse(self, host: Host) -> None:
        """The host's lease ended, and somebody who waits has noticed."""
        self.world.rows("update leases set expires_at = now() - interval '1 s' where host_id = %s", host.host_id)
        self.world.call(self.world.operator_id, "expire_commands")

    def _claims(self, host: Host) -> dict[UUID, UUID]:
        rows = self.world.rows(
            "select id, claim_token from agent_commands"
            " where host_id = %s and status = 'processing' and stage = 'claimed' and command_type = 'send_prompt'",
            host.host_id,
        )
        return {row["id"]: row["claim_token"] for row in rows}

    def _complete(self, host: Host, command_id: UUID, token: UUID) -> bool:
        arguments: tuple[Any, ...] = (command_id, token, True, Jsonb(STALE))
        try:
            self.world.call(host.user_id, "complete_command", *arguments)
        except psycopg.Error:
            return False
        return True

    def _start_again(self, host: Host, what: str) -> None:
        host.process.start()
        self.world.await_agent(host)
        self.done[what] += 1

    def _host(self) -> Host:
        return self.dice.choice(self.world.hosts)
