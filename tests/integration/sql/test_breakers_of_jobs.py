"""What the turns of jobs do to the breaker of their CLI, and it to them."""

from typing import Any
from uuid import uuid4

import pytest
from psycopg.rows import DictRow

from tests.integration.sql.breakers import (
    PROFILE,
    begin,
    breaker,
    fail,
    let_time_pass,
    operate,
    refused,
    state,
    succeed,
)
from tests.integration.sql.jobs import SqlJobs
from tests.integration.sql.office import SqlOffice

RATE_LIMIT = {"output": "", "failure": {"kind": "rate_limit", "message": "5-hour limit\n reached."}}


def begin_turn(jobs: SqlJobs) -> tuple[DictRow, DictRow]:
    """A job's attempt in a new session, with its prompt claimed; the session's start counts as one."""
    attempt, session = jobs.server.begin(jobs.add()), uuid4()
    jobs.server.acquire(attempt, session)
    created = jobs.server.command(attempt, session, "create_session", p_payload={"profile": PROFILE, "role": "BE"})
    succeed(jobs.office, claimed(jobs, created))
    prompt = jobs.server.command(attempt, session, "send_prompt")
    return attempt, claimed(jobs, prompt)


def claimed(jobs: SqlJobs, command: DictRow) -> DictRow:
    return {row["id"]: row for row in jobs.office.claim()}[command["id"]]


def end_turn(jobs: SqlJobs, turn: tuple[DictRow, DictRow], result: dict[str, Any]) -> None:
    attempt, prompt = turn
    jobs.office.complete(prompt, p_result=result, p_session={"status": "executing", "status_source": "test"})
    jobs.server.finish(attempt)


@pytest.mark.parametrize("kind", ["rate_limit", "auth"])
def test_turns_that_the_cli_refuses_open_it_though_each_job_starts_a_session(jobs: SqlJobs, kind: str) -> None:
    for _ in range(3):
        end_turn(jobs, begin_turn(jobs), {"output": "", "failure": {"kind": kind, "message": "No."}})
    assert state(jobs.office) == ("open", 3)
    with refused("breaker_open"):
        begin(jobs.office)


def test_the_reason_is_one_line_of_what_the_cli_said(jobs: SqlJobs) -> None:
    end_turn(jobs, begin_turn(jobs), RATE_LIMIT)
    row = breaker(jobs.office)
    assert row is not None
    assert row["reason"] == "5-hour limit reached."


def test_a_session_that_starts_does_not_prove_that_turns_work_again_and_a_turn_does(jobs: SqlJobs) -> None:
    for _ in range(3):
        end_turn(jobs, begin_turn(jobs), RATE_LIMIT)
    let_time_pass(jobs.office)
    turn = begin_turn(jobs)
    assert state(jobs.office) == ("half-open", 3)
    with refused("breaker_open"):
        begin(jobs.office)
    end_turn(jobs, turn, {"output": "done"})
    assert state(jobs.office) == ("closed", 0)


def test_a_turn_that_outlasts_the_pause_gives_the_place_of_the_probe_back(jobs: SqlJobs) -> None:
    for _ in range(3):
        end_turn(jobs, begin_turn(jobs), RATE_LIMIT)
    let_time_pass(jobs.office)
    _, prompt = begin_turn(jobs)
    jobs.office.report(prompt, "accepted")
    with refused("breaker_open"):
        begin(jobs.office)
    jobs.office.superuser.execute("update circuit_breakers set reset_timeout_ms = 1")
    begin(jobs.office)


def test_a_prompt_of_a_job_waits_while_it_is_open_and_finds_its_attempt_as_before(jobs: SqlJobs) -> None:
    attempt, session = jobs.server.begin(jobs.add()), uuid4()
    jobs.server.acquire(attempt, session)
    created = jobs.server.command(attempt, session, "create_session", p_payload={"profile": PROFILE, "role": "BE"})
    succeed(jobs.office, claimed(jobs, created))
    operate(jobs.office, "open_breaker")
    command_id = uuid4()
    with refused("breaker_open"):
        jobs.server.command(attempt, session, "send_prompt", p_id=command_id)
    operate(jobs.office, "reset_breaker")
    assert jobs.server.command(attempt, session, "send_prompt", p_id=command_id)["id"] == command_id


@pytest.mark.parametrize("error", ["timeout", "cancelled", "session_blocked", "draft_present", "not_ready"])
def test_a_turn_that_took_too_long_or_was_never_typed_does_not_count(jobs: SqlJobs, error: str) -> None:
    for _ in range(3):
        attempt, prompt = begin_turn(jobs)
        fail(jobs.office, prompt, error)
        jobs.server.finish(attempt, "failed", p_error=error)
    assert state(jobs.office) == ("closed", 0)


@pytest.mark.parametrize("kind", ["api_error", "other"])
def test_other_failures_of_a_turn_say_nothing_about_the_next(jobs: SqlJobs, kind: str) -> None:
    end_turn(jobs, begin_turn(jobs), RATE_LIMIT)
    end_turn(jobs, begin_turn(jobs), {"output": "", "failure": {"kind": kind, "message": "500"}})
    assert state(jobs.office) == ("closed", 1)


def test_a_person_s_prompt_that_the_cli_refuses_does_not_count(office: SqlOffice) -> None:
    created = begin(office)
    succeed(office, created)
    for _ in range(3):
        office.prompt(created["session_id"])
        [prompt] = office.claim()
        office.complete(prompt, p_result=RATE_LIMIT, p_session={"status": "ready", "status_source": "test"})
    assert state(office) == ("closed", 0)
