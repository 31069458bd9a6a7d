"""The soak in a small size, and that it goes red when what it watches over is taken away."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.soak.chaos import Chaos
from tests.soak.soak import Outcome, Size, Soak, running_world
from tests.soak.world import World

pytestmark = pytest.mark.timeout(180)

SMALL = Size(agents=2, sessions_each=2, commands=60, clients=2, chaos_every=0.5)
DIRECTED = Size(agents=1, sessions_each=1, commands=24, clients=1, work_s=0.02)

LANE_CONDITION = """(c.urgent or (
              -- Head of the lane, seen in the same statement: without it most races break the order.
              not exists (
                  select 1 from public.agent_commands e
                  where e.session_id = c.session_id and not e.urgent and e.id <> c.id
                    and (e.lane_held or e.status = 'pending' and e.sequence < c.sequence))
              and"""
TOKEN_CHECK = "if v_command.claim_token is distinct from p_claim_token then"


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def patch_out(world: World, function: str, old: str, new: str) -> None:
    """Replace a piece of a function in this world's own database."""
    [row] = world.rows("select pg_get_functiondef(%s::regproc) as source", function)
    assert row["source"].count(old) == 1, row["source"]
    world.rows(row["source"].replace(old, new))
    world.lawless = True


def soak_with(world: World, happens: Callable[[Chaos], None]) -> Outcome:
    """A small load during which one thing happens; the clients end by themselves."""
    soak = Soak(world, DIRECTED, seed=7)
    soak.chaos.patience_s = 30.0
    clients = soak.start_clients(DIRECTED.commands)
    happens(soak.chaos)
    world.await_(lambda: all(client.has_ended() for client in clients), "the clients have ended")
    return soak.judge()


def kill_after_enter(chaos: Chaos) -> None:
    [host] = chaos.world.hosts
    assert chaos.stop_at(host, "after_enter", "kill")
    host.process.kill()
    host.process.start()
    chaos.world.await_agent(host)


def replay_a_lost_claim(chaos: Chaos) -> None:
    chaos.replay_lost_claim(chaos.world.hosts[0])
    assert chaos.done["lost claims replayed"]


def test_under_kills_freezes_and_lost_hints_nothing_is_lost_and_nothing_happens_twice(folder: Path) -> None:
    with running_world(folder, SMALL) as world:
        outcome = Soak(world, SMALL, seed=11).run()
    assert outcome.faults == {}, outcome.table()
    assert outcome.verdict.settled == outcome.verdict.commands


@pytest.mark.parametrize("happens", [replay_a_lost_claim, kill_after_enter])
def test_what_is_directed_at_one_agent_leaves_no_fault(folder: Path, happens: Callable[[Chaos], None]) -> None:
    with running_world(folder, DIRECTED) as world:
        assert soak_with(world, happens).faults == {}


def test_without_the_token_check_a_lost_claim_is_accepted(folder: Path) -> None:
    with running_world(folder, DIRECTED) as world:
        patch_out(world, "semo.fenced_command", TOKEN_CHECK, "if false then")
        # Which of the two comes first depends on what the agent that was frozen had in hand.
        found = soak_with(world, replay_a_lost_claim).faults.keys()
        assert found & {"accepted under a lost claim", "typed_twice"}


def test_without_the_lane_condition_a_lane_is_shared(folder: Path) -> None:
    with running_world(folder, DIRECTED) as world:
        patch_out(world, "public.claim_commands", LANE_CONDITION, "(c.urgent or (true and")
        # It would hold the same by itself; what is tested here is whether the soak sees the condition's work.
        world.rows("drop index public.agent_commands_one_in_lane")
        assert "shared_lane" in soak_with(world, lambda chaos: None).faults


def test_without_the_journal_a_prompt_is_typed_twice(folder: Path) -> None:
    with running_world(folder, DIRECTED, ["--without-journal"]) as world:
        assert "typed_twice" in soak_with(world, kill_after_enter).faults
