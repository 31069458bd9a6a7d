"""The pool on a machine: `semo up --warm`, a job, and what the command line says of both."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.jobs import add, await_status
from tests.acceptance.machine import Machine, eventually, new_machine

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def warm() -> Iterator[Machine]:
    """A machine that was started with one spare session of role BE."""
    with new_machine() as machine:
        ended = machine.semo("up", "--headless", "--json", "--port", "0", "--terminal", "pty", "--warm", "BE=1")
        assert ended.code == 0, ended
        machine.told = ended.json
        yield machine


def sessions(machine: Machine, pool_state: str) -> list[dict[str, Any]]:
    """Those of the pool that are ready, in this state."""
    rows = machine.ask(lambda link: link.select("agent_sessions", order=["created_at"]))
    return [row for row in rows if row["pool_state"] == pool_state and row["status"] == "ready"]


def test_a_job_takes_the_spare_that_up_has_made_and_another_one_takes_its_place(warm: Machine) -> None:
    [spare] = eventually(lambda: sessions(warm, "spare"), "a spare is ready")
    job = await_status(warm, add(warm, "Build", "echo built; sleep 1"), "done")
    assert [attempt["session_id"] for attempt in job["attempts"]] == [spare["session_id"]]
    both = eventually(lambda: len(ready := sessions(warm, "spare")) == 2 and ready, "the spare is replaced")
    assert spare["session_id"] in {session["session_id"] for session in both or ()}, "a shell is used again"
    status = warm.semo("pool", "status", "--json")
    [role] = status.json["roles"]
    assert (role["role"], role["wanted"], role["spares"], status.json["led"]) == ("BE", 1, 2, True)
    decisions = warm.ask(lambda link: link.select("pool_decisions", order=["id"]))
    assert [(row["decision"], row["reason"]) for row in decisions][:2] == [
        ("fill", "made a spare: 0 of 1 BE sessions were there"),
        ("spare", "spare: a BE session was ready"),
    ]


def test_a_prompt_without_a_name_goes_to_a_persons_own_session_and_not_to_a_spare(warm: Machine) -> None:
    eventually(lambda: sessions(warm, "spare"), "a spare is ready")
    assert warm.semo("send", "--wait", "echo hi").out == "hi\n"
    assert "idle, spare" in warm.semo("sessions").out


def test_a_person_sets_the_pool_and_what_is_dismissed_is_ended(warm: Machine) -> None:
    [spare, *_] = eventually(lambda: sessions(warm, "spare"), "a spare is ready")
    session_id = str(spare["session_id"])
    assert warm.semo("sessions", "dismiss", session_id).refused_with("This session is a spare")
    warm.send(session_id, "echo mine")
    ended = warm.semo("sessions", "dismiss", session_id, "--json")
    assert ended.json["pool_state"] == "kept"
    said = warm.semo("pool", "set", "BE=0", "--cold-cap", "0", "--idle-timeout", "1")
    assert said.code == 0, said
    eventually(lambda: not sessions(warm, "kept") and not sessions(warm, "spare"), "the pool has ended them")
    assert warm.semo("sessions", "forget", "--json").json == {"forgotten": 0}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("pool", "set", "BE=-1"), ("0 to 50 spare sessions, not -1",)),
        (("pool", "set", "BEE=1"), ("Nobody in this office is BEE", "BE")),
        (("pool", "set", "--cold-cap", "-1"), ("0 to 500 cold sessions",)),
        (("pool", "--office", "elsewhere", "status"), ("stand after it",)),
        (("up", "--headless", "--warm", "BE=x"), ("'BE=x' is not a role and a number",)),
        (("up", "--headless", "--warm", "BEE=1"), ("prepare the office", "Nobody in this office is BEE")),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    warm: Machine, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert warm.semo(*arguments).refused_with(*parts)
