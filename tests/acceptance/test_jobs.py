"""A job from its assignment to done, on real processes: the command line, the server, the agent, bash."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.jobs import ONCE, Gate, add, await_status, prompts_of, show
from tests.acceptance.machine import Machine, new_machine
from tests.acceptance.servers import OfficeServer, serving

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module", params=["pty", "tmux"])
def running(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with new_machine() as machine:
        machine.terminal = request.param
        machine.up()
        yield machine


@pytest.fixture
def server(running: Machine) -> Iterator[OfficeServer]:
    with serving(running) as server:
        server.await_lead()
        yield server


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_three_jobs_of_which_the_third_waits_for_two_and_one_is_retried_by_hand(
    running: Machine, server: OfficeServer, tmp_path: Path
) -> None:
    repaired = tmp_path / "repaired"
    build = add(running, "Build", "echo built")
    tests = add(running, "Tests", "-", stdin=f"echo looking for the repair\n[ -e {repaired} ]".encode())
    release = add(running, "Release", "echo released", build[:8], tests)
    built = await_status(running, build, "done")
    failed = await_status(running, tests, "failed")
    assert (built["evidence"]["output"], built["evidence"]["exit_status"]) == ("built", 0)
    assert (failed["reason"], failed["evidence"]["exit_status"]) == ("exit 1", 1)
    assert "looking for the repair" in failed["evidence"]["output"]
    waiting = show(running, release)
    assert (waiting["status"], waiting["attempts"]) == ("cancelled", [])
    assert waiting["reason"] == f"Cancelled, because Tests ({tests[:8]}) failed."
    assert {(job["title"], job["status"]) for job in waiting["dependencies"]} == {
        ("Build", "done"),
        ("Tests", "failed"),
    }
    repaired.touch()
    assert running.semo("job", "retry", tests[:8]).code == 0
    released = await_status(running, release, "done")
    assert (released["evidence"]["output"], released["evidence"]["exit_status"]) == ("released", 0)
    retried = show(running, tests)
    assert [attempt["status"] for attempt in retried["attempts"]] == ["failed", "done"]
    assert retried["reason"] is None
    for job in (built, released):
        assert prompts_of(running, job) == ONCE
    assert prompts_of(running, retried) == ONCE * 2


def test_a_server_that_is_killed_in_the_middle_of_a_job_finds_its_prompt_again(running: Machine, gate: Gate) -> None:
    with serving(running) as first:
        first.await_lead()
        job_id = add(running, "Long", gate.command)
        gate.await_begun()
        first.kill()
    with serving(running) as second:
        second.await_lead()
        gate.open()
        job = await_status(running, job_id, "done")
        assert second.stop() == 0
    assert job["evidence"]["output"] == "passed"
    assert len(job["attempts"]) == 1
    assert prompts_of(running, job) == ONCE
    assert gate.count() == 1
