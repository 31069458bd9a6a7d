"""A circuit breaker of the test's office in the real database, and what many callers do to it at once."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.integration.sql.office import Caller, SqlOffice

PROFILE = "claude"
T = TypeVar("T")


def refused(code: str) -> "pytest.RaisesExc[psycopg.Error]":
    return pytest.raises(psycopg.Error, match=f"^{code}\n")


def begin(office: SqlOffice, session: UUID | None = None) -> DictRow:
    """A create_session that the agent has claimed."""
    created = office.send("create_session", {"profile": PROFILE}, session)
    claimed = {row["id"]: row for row in office.claim()}
    return claimed[created["id"]]


def fail(office: SqlOffice, command: DictRow, error: str = "launch_failed") -> None:
    office.complete(command, success=False, p_error=error, p_message="No such program.")


def succeed(office: SqlOffice, command: DictRow) -> None:
    office.complete(command, p_session={"status": "ready", "status_source": "test"})


def break_it(office: SqlOffice, times: int = 3) -> None:
    for _ in range(times):
        fail(office, begin(office))


def breaker(office: SqlOffice, profile: str = PROFILE) -> DictRow | None:
    rows = office.superuser.execute(
        "select * from circuit_breakers where host_id = %s and profile = %s", [office.host, profile]
    ).fetchall()
    return rows[0] if rows else None


def state(office: SqlOffice) -> tuple[str, int]:
    row = breaker(office)
    return (row["state"], row["failures"]) if row else ("closed", 0)


def let_time_pass(office: SqlOffice) -> None:
    """The reset timeout is over."""
    office.superuser.execute(
        "update circuit_breakers set retry_at = now() - interval '1 ms', opened_at = now() - interval '1 hour'"
        " where host_id = %s and retry_at is not null",
        [office.host],
    )


def operate(office: SqlOffice, function: str, **more: object) -> DictRow:
    [row] = office.operator.call(function, p_office_id=office.id, p_host_id=office.host, p_profile=PROFILE, **more)
    return row


def second_office(office: SqlOffice) -> UUID:
    """Another office of the same operator on the same host."""
    second = uuid4()
    office.operator.call("create_office", p_id=second, p_name="second", p_repo_path=f"/repo/{second}")
    office.operator.call("attach_host", p_office_id=second, p_host_id=office.host, p_repo_path="/repo")
    return second


def until_it_waits(office: SqlOffice, caller: Caller) -> None:
    """Until the caller's statement stands before a lock that another one holds."""
    deadline = time.monotonic() + 20
    waiting = "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    while not office.superuser.execute(waiting, [caller.connection.info.backend_pid]).fetchall():
        assert time.monotonic() < deadline, "it went past the lock"


def try_to_begin(worker: SqlOffice, number: int) -> str:
    try:
        worker.send("create_session", {"profile": PROFILE})
    except psycopg.Error as refusal:
        return str(refusal.diag.message_primary)
    return "admitted"


def at_once(office: SqlOffice, act: Callable[[SqlOffice, int], T], *, workers: int = 10) -> list[T]:
    """What each of them has come to, each over connections of its own, beginning at the same moment."""
    start = threading.Barrier(workers)

    def work(number: int) -> T:
        worker = SqlOffice.join(office)
        try:
            start.wait(30)
            return act(worker, number)
        finally:
            worker.close()

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, range(workers)))
