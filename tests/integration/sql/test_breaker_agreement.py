"""The breaker in the database and `CircuitBreaker` are one machine: both let in and count the same."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import DictRow

from semo_office.breaker import FAILURES, CircuitBreaker, CircuitBreakerConfig, CircuitState
from semo_office.errors import CommandError, ErrorCode
from tests.integration.sql.office import SqlOffice

NO_VERDICT = (ErrorCode.CANCELLED, ErrorCode.SESSION_EXITED, ErrorCode.INVALID_PAYLOAD, ErrorCode.INDETERMINATE)


@dataclass(eq=False)
class Start:
    """One session that is being made, as both know it."""

    command: DictRow
    task: asyncio.Task[str]
    end: asyncio.Future[str]


class BothBreakers(RuleBasedStateMachine):
    office: ClassVar[SqlOffice]
    begun: Bundle[Start] = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.profile = uuid4().hex

    @initialize(threshold=st.integers(1, 3), probes=st.integers(1, 2))
    def make(self, threshold: int, probes: int) -> None:
        config = CircuitBreakerConfig(threshold, 60_000, probes)
        self.breaker = CircuitBreaker(config, clock=lambda: self.now)
        self.office.superuser.execute(
            "insert into circuit_breakers (host_id, profile, failure_threshold, half_open_requests)"
            " values (%s, %s, %s, %s)",
            [self.office.host, self.profile, threshold, probes],
        )

    @rule(target=begun, starts=st.integers(1, 3))
    def start(self, starts: int) -> "MultipleResults[Start]":
        return multiple(*(each for each in [self._start() for _ in range(starts)] if each is not None))

    @rule(start=consumes(begun))
    def succeed(self, start: Start) -> None:
        start.end.set_result("ready")
        self._run()
        # Ended at once, so that the host stays empty.
        self.office.complete(start.command, p_session={"status": "terminated", "status_source": "test"})

    @rule(start=consumes(begun), code=st.sampled_from([*sorted(FAILURES), *NO_VERDICT]))
    def fail(self, start: Start, code: ErrorCode) -> None:
        start.end.set_exception(CommandError(code))
        self._run()
        assert start.task.exception() is not None
        self.office.complete(start.command, success=False, p_error=code, p_message="no")

    @precondition(lambda self: self.breaker.state is CircuitState.OPEN)
    @rule(seconds=st.sampled_from([30, 60]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.office.superuser.execute(
            "update circuit_breakers set retry_at = retry_at - make_interval(secs => %s)"
            " where host_id = %s and profile = %s",
            [seconds, self.office.host, self.profile],
        )

    @invariant()
    def both_say_the_same(self) -> None:
        [row] = self.office.superuser.execute(
            "select state, failures from circuit_breakers where host_id = %s and profile = %s",
            [self.office.host, self.profile],
        ).fetchall()
        assert (self.breaker.state, self.breaker.failures) == (row["state"], row["failures"])

    def teardown(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self._run()
        self.loop.close()
        self.office.superuser.execute("delete from agent_sessions where profile = %s", [self.profile])

    def _start(self) -> Start | None:
        end: asyncio.Future[str] = self.loop.create_future()

        async def operation() -> str:
            return await end

        task = self.loop.create_task(self.breaker.execute(operation))
        self._run()
        command = self._create()
        assert task.done() == (command is None), "one lets it in, and the other does not"
        if command is None:
            refusal = task.exception()
            assert isinstance(refusal, CommandError)
            assert refusal.code is ErrorCode.BREAKER_OPEN
            return None
        return Start(command, task, end)

    def _create(self) -> DictRow | None:
        try:
            self.office.send("create_session", {"profile": self.profile})
        except psycopg.Error as err:
            if err.diag.message_primary != ErrorCode.BREAKER_OPEN:
                raise
            return None
        [claimed] = self.office.claim()
        return claimed

    def _run(self) -> None:
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def machine(office: SqlOffice) -> type[BothBreakers]:
    # More than one run can begin: saturation is another test's.
    office.operator.call(
        "attach_host", p_office_id=office.id, p_host_id=office.host, p_repo_path="/repo", p_max_sessions=500
    )
    return type("BothBreakersOfOneOffice", (BothBreakers,), {"office": office})


def test_both_let_in_and_count_the_same(machine: type[BothBreakers]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
