"""A job from its assignment to done, on real processes: the command line, the server, the agent, bash."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from semo_office.models import Stage
from tests.acceptance.machine import Machine, eventually
from tests.acceptance.servers import OfficeServer, elsewhere, serving

pytestmark = pytest.mark.timeout(150)

JOB_S = 40.0
TAKE_OVER_S = 15.0


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


def add(machine: Machine, title: str, description: str, *after: str, role: str = "BE", stdin: bytes = b"") -> str:
    depends_on = [word for job_id in after for word in ("--depends-on", job_id)]
    arguments = ["--role", role, "--title", title, "--description", description, *depends_on]
    ended = machine.semo("job", "add", *arguments, "--json", stdin=stdin)
    assert ended.code == 0, ended
    job_id: str = ended.json["id"]
    return job_id


def show(machine: Machine, job_id: str) -> dict[str, Any]:
    ended = machine.semo("job", "show", job_id, "--json")
    assert ended.code == 0, ended
    job: dict[str, Any] = ended.json
    return job


def await_status(machine: Machine, job_id: str, status: str) -> dict[str, Any]:
    """The job once it is in this state; the command line is too slow to ask it all the time."""

    def look() -> bool:
        rows = machine.ask(lambda link: link.select("job_queue"))
        return any(row["id"] == job_id and row["status"] == status for row in rows)

    eventually(look, f"the job {job_id} is {status}", within=JOB_S)
    return show(machine, job_id)


def prompts_of(machine: Machine, job: dict[str, Any]) -> list[list[str]]:
    """The receipts of every prompt that was sent for a job, step by step."""
    sent = {attempt["command_id"] for attempt in job["attempts"]}
    events = machine.ask(lambda link: link.select("agent_command_events", order=["id"]))
    return [[str(event["stage"]) for event in events if event["command_id"] == command_id] for command_id in sent]


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


def test_a_person_reads_the_jobs_in_a_table(running: Machine, server: OfficeServer) -> None:
    assert server.leads()
    job_id = add(running, "Three", "exit_with() { return $1; }; exit_with 3", role="QA")
    await_status(running, job_id, "failed")
    row = next(line for line in running.semo("job", "list").out.splitlines() if line.startswith(job_id[:8]))
    assert row.split() == [job_id[:8], "QA", "failed", "Three", "exit", "3"]
    told = running.semo("job", "show", job_id[:8])
    assert "attempt 1 in session" in told.out
    assert "failed, exit 3" in told.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("show", "ffffffff"), ("There is no job 'ffffffff'",)),
        (("cancel", ""), ("There is no job ''",)),
        (("add", "--role", "BE", "--title", "T"), ("--description",)),
        (("add", "--role", "BE", "--title", "T", "--description", " "), ("description is empty",)),
        (("add", "--role", "BE", "--title", "T", "--description", "-"), ("description is empty",)),
        (("add", "--role", "", "--title", "T", "--description", "echo"), ("role is empty",)),
        (("add", "--role", "BE", "--title", "x" * 201, "--description", "echo"), ("title of 1 to 200",)),
        (
            ("add", "--role", "BE", "--title", "T", "--description", "echo", "--depends-on", "ffffffff"),
            ("There is no job",),
        ),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    running: Machine, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    before = running.ask(lambda link: link.select("job_queue"))
    assert running.semo("job", *arguments).refused_with(*parts)
    assert len(running.ask(lambda link: link.select("job_queue"))) == len(before)
