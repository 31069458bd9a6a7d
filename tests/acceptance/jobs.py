"""Jobs on a machine, by the command line."""

from pathlib import Path
from typing import Any

from semo_office.models import Stage
from tests.acceptance.machine import Machine, eventually
from tests.acceptance.servers import serving

JOB_S = 40.0
ONCE = [["queued", "claimed", Stage.TYPED, Stage.ACCEPTED, Stage.TURN_ENDED]]
"""The receipts of a job whose one prompt was sent once."""


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


def see_three_jobs(machine: Machine, folder: Path) -> None:
    """A job of which two others are the condition, and one of these fails until a person repairs it in the folder."""
    with serving(machine) as server:
        server.await_lead()
        repaired = folder / "repaired"
        build = add(machine, "Build", "echo built")
        tests = add(machine, "Tests", "-", stdin=f"echo looking for the repair\n[ -e {repaired} ]".encode())
        release = add(machine, "Release", "echo released", build[:8], tests)
        built = await_status(machine, build, "done")
        failed = await_status(machine, tests, "failed")
        assert (built["evidence"]["output"], built["evidence"]["exit_status"]) == ("built", 0)
        assert (failed["reason"], failed["evidence"]["exit_status"]) == ("exit 1", 1)
        assert "looking for the repair" in failed["evidence"]["output"]
        waiting = show(machine, release)
        assert (waiting["status"], waiting["attempts"]) == ("cancelled", [])
        assert waiting["reason"] == f"Cancelled, because Tests ({tests[:8]}) failed."
        assert {(job["title"], job["status"]) for job in waiting["dependencies"]} == {
            ("Build", "done"),
            ("Tests", "failed"),
        }
        repaired.touch()
        assert machine.semo("job", "retry", tests[:8]).code == 0
        released = await_status(machine, release, "done")
        assert (released["evidence"]["output"], released["evidence"]["exit_status"]) == ("released", 0)
        retried = show(machine, tests)
        assert [attempt["status"] for attempt in retried["attempts"]] == ["failed", "done"]
        assert retried["reason"] is None
    for job in (built, released):
        assert prompts_of(machine, job) == ONCE
    assert prompts_of(machine, retried) == ONCE * 2


def see_prompt_found_again(machine: Machine, gate: Gate) -> None:
    """The server is killed in the middle of a job, and the next one sends nothing again."""
    with serving(machine) as first:
        first.await_lead()
        job_id = add(machine, "Long", gate.command)
        gate.await_begun()
        first.kill()
    with serving(machine) as second:
        second.await_lead()
        gate.open()
        job = await_status(machine, job_id, "done")
        assert second.stop() == 0
    assert job["evidence"]["output"] == "passed"
    assert len(job["attempts"]) == 1
    assert prompts_of(machine, job) == ONCE
    assert gate.count() == 1
