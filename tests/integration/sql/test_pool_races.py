"""The pool under many at once: four real processes do two hundred jobs."""

import json
import os
import subprocess
import sys
from uuid import UUID

from tests.integration.hub_fixture import ROOT
from tests.integration.sql.pool import SqlPool

WORKERS = 4
JOBS_EACH = 50
CAP, SPARES = 2, 1
DEADLINE_S = 50.0


def start_worker(pool: SqlPool, jobs: list[UUID]) -> "subprocess.Popen[bytes]":
    office = pool.office
    identity = [office.conninfo, office.id, office.host, office.instance, office.agent.user, pool.server_user]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "programs" / "pool_worker.py")]
        + [str(word) for word in (*identity, pool.server.epoch, *jobs)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def add_jobs(pool: SqlPool, count: int) -> list[UUID]:
    return [pool.add()["id"] for _ in range(count)]


def live(pool: SqlPool) -> dict[UUID, str]:
    """Every session of the office that has not ended, and what it is in the pool."""
    rows = pool.office.superuser.execute(
        "select session_id, pool_state from agent_sessions where office_id = %s and status <> 'terminated'",
        [pool.office.id],
    )
    return {row["session_id"]: row["pool_state"] for row in rows}


def test_200_jobs_of_4_processes_never_pass_the_cap_never_share_a_session_and_lose_none(pool: SqlPool) -> None:
    pool.server.take(60_000)
    pool.office.agent.call("renew_leases", p_instance=pool.office.instance, p_ttl_ms=60_000)
    pool.want(cap=CAP, BE=SPARES)
    pool.filled()
    jobs = add_jobs(pool, WORKERS * JOBS_EACH)
    workers = [start_worker(pool, jobs[number::WORKERS]) for number in range(WORKERS)]
    seen = []
    for worker in workers:
        out, _ = worker.communicate(timeout=DEADLINE_S)
        assert worker.returncode == 0
        seen.append(json.loads(out))
    assert sum(len(each["sessions"]) for each in seen) == len(jobs)
    assert max(each["alive"] for each in seen) <= CAP + SPARES
    assert max(each["used"] for each in seen) <= CAP + SPARES
    pool.serve()
    had = {UUID(session) for each in seen for session in each["sessions"]}
    left = live(pool)
    assert set(left.values()) == {"spare"}, "whatever was taken is back"
    assert had <= set(left), "none is lost"
    assert SPARES <= len(left) <= CAP + SPARES


def test_sessions_of_a_leader_that_was_killed_are_given_back_by_the_next(pool: SqlPool) -> None:
    pool.want(cap=CAP, BE=SPARES)
    pool.filled()
    attempts = [pool.started() for _ in range(CAP)]
    pool.let_lease_run_out()
    pool.server = pool.new_server()
    pool.server.take()
    [fresh] = pool.filled()
    for attempt, session in attempts:
        assert pool.server.ask_for_session(attempt)["session_id"] == str(session), "it goes on where the other was"
        pool.prompt_and_finish(attempt, session)
    assert live(pool) == dict.fromkeys([*(session for _, session in attempts), fresh], "spare")
