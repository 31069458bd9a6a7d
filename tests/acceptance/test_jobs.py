"""A job from its assignment to done, on real processes: the command line, the server, the agent, bash."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from semo_office.models import Stage
from tests.acceptance.jobs import JOB_S, add, await_status, prompts_of, show
from tests.acceptance.machine import Machine, eventually, new_machine
from tests.acceptance.servers import OfficeServer, elsewhere, serving

pytestmark = pytest.mark.timeout(150)

TAKE_OVER_S = 15.0


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
def gate(running: Machine, tmp_path: Path) -> "Gate":
    return Gate(tmp_path)


class Gate:
    """A command that writes down that it began, and ends when the test opens the gate."""

    def __init__(self, folder: Path) -> None:
        self.begun = folder / "begun"
        self.file = folder / "open"

    @property
    def command(self) -> str:
        return f"echo begun >> {self.begun}; until [ -e {self.file} ]; do sleep 0.05; done; echo passed"

    def count(self) -> int:
        """How often it was begun."""
        return self.begun.read_text().count("begun\n") if self.begun.exists() else 0

    def await_begun(self) -> None:
        eventually(lambda: self.count() == 1, "the job's command has begun", within=JOB_S)

    def open(self) -> None:
        self.file.touch()


ONCE = [["queued", "claimed", Stage.TYPED, Stage.ACCEPTED, Stage.TURN_ENDED]]


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
    assert (waiting["status"], waiting["attempts"]) == ("pending", [])
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


def test_a_job_ends_while_no_server_is_there_and_is_done_when_one_comes(running: Machine, gate: Gate) -> None:
    with serving(running) as first:
        first.await_lead()
        job_id = add(running, "Long", gate.command)
        gate.await_begun()
        assert first.stop() == 0
    gate.open()
    with serving(running):
        job = await_status(running, job_id, "done")
    assert (len(job["attempts"]), gate.count()) == (1, 1)


def test_another_server_leads_within_15_s_after_the_leader_was_killed_and_no_job_runs_twice(
    running: Machine, gate: Gate
) -> None:
    with serving(running) as leader:
        leader.await_lead()
        with serving(running, elsewhere(running)) as other:
            job_id = add(running, "Long", gate.command)
            gate.await_begun()
            assert not other.leads()
            leader.kill()
            other.await_lead(within=TAKE_OVER_S)
            next_id = add(running, "Next", "echo next")
            await_status(running, next_id, "done")
            gate.open()
            job = await_status(running, job_id, "done")
            assert other.stop() == 0
    assert (len(job["attempts"]), gate.count()) == (1, 1)
    assert prompts_of(running, job) == ONCE


def test_a_second_server_in_the_same_state_folder_is_refused(running: Machine, server: OfficeServer) -> None:
    assert server.leads()
    assert running.semo("serve").err.splitlines()[-1].startswith("semo: A server runs for")


def test_a_job_that_runs_is_stopped_by_cancel(running: Machine, server: OfficeServer, gate: Gate) -> None:
    assert server.leads()
    job_id = add(running, "Endless", gate.command)
    gate.await_begun()
    assert running.semo("job", "cancel", job_id[:8]).code == 0
    job = await_status(running, job_id, "cancelled")
    assert [attempt["status"] for attempt in job["attempts"]] == ["cancelled"]
    assert await_status(running, add(running, "Next", "echo next"), "done")["evidence"]["output"] == "next"


def test_a_shell_that_dies_is_tried_once_more_in_a_new_session(
    running: Machine, server: OfficeServer, tmp_path: Path
) -> None:
    assert server.leads()
    died = tmp_path / "died"
    job_id = add(running, "Crash", f"[ -e {died} ] || {{ touch {died}; kill -9 $$; }}; echo alive")
    job = await_status(running, job_id, "done")
    assert [attempt["error"] for attempt in job["attempts"]] == ["session_exited", None]
    assert len({attempt["session_id"] for attempt in job["attempts"]}) == 2
