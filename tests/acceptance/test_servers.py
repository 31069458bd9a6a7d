"""Several servers, and what becomes of jobs that are cancelled or whose shell dies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.jobs import ONCE, Gate, add, await_status, prompts_of
from tests.acceptance.machine import Machine
from tests.acceptance.servers import OfficeServer, elsewhere, serving

pytestmark = pytest.mark.timeout(150)

TAKE_OVER_S = 15.0


@pytest.fixture
def server(running: Machine) -> Iterator[OfficeServer]:
    with serving(running) as server:
        server.await_lead()
        yield server


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


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
    row = next(line for line in running.semo("job", "list", "--all").out.splitlines() if line.startswith(job_id[:8]))
    assert row.split()[:4] == [job_id[:8], "BE", "cancelled", "Endless"]
    assert "attempt 1 in session" in running.semo("job", "show", job_id[:8]).out
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
