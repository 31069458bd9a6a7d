"""The breaker of a process: against a model with many callers at once, and as the gate before the office."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import settings
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
)

from semo_office.breaker import (
    ASK_AGAIN_MS,
    FAILURES,
    BreakerGate,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitState,
)
from semo_office.errors import CommandError, ConfigurationError, ErrorCode, LinkError

HOST = UUID(int=1)
NO_VERDICT = [*(CommandError(code) for code in sorted(set(ErrorCode) - FAILURES)), LinkError("The office is away.")]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Call:
    """A caller inside `execute`; the test says how its operation ends. `admitted`: the round of the model."""

    task: asyncio.Task[str]
    end: asyncio.Future[str]
    admitted: int | None = None


class Callers(RuleBasedStateMachine):
    """Callers come and end in any order and number; a model says who is let in and what becomes of the breaker."""

    inside: Bundle[Call] = Bundle("inside")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()

    @initialize(threshold=st.integers(1, 3), probes=st.integers(1, 2))
    def make(self, threshold: int, probes: int) -> None:
        self.config = CircuitBreakerConfig(threshold, 60_000, probes)
        self.breaker = CircuitBreaker(self.config, clock=self.clock)
        self.state, self.failures, self.round, self.retry_at = CircuitState.CLOSED, 0, 0, 0.0
        self.probes: set[Call] = set()

    @rule(target=inside, callers=st.integers(1, 4))
    def come(self, callers: int) -> "MultipleResults[Call]":
        """All at the same moment."""
        calls = [self._call() for _ in range(callers)]
        for call in calls:
            self._expect_admission(call)
        self._run()
        for call in calls:
            assert call.task.done() == (call.admitted is None)
            if call.admitted is None:
                refusal = call.task.exception()
                assert isinstance(refusal, CommandError)
                assert refusal.code is ErrorCode.BREAKER_OPEN
        return multiple(*(call for call in calls if call.admitted is not None))

    @rule(call=consumes(inside))
    def succeed(self, call: Call) -> None:
        call.end.set_result("done")
        self._run()
        assert call.task.result() == "done"
        if call.admitted == self.round:
            self.failures = 0
            if self.state is CircuitState.HALF_OPEN:
                self._becomes(CircuitState.CLOSED)

    @rule(call=consumes(inside), code=st.sampled_from(sorted(FAILURES)))
    def fail(self, call: Call, code: ErrorCode) -> None:
        self._end(call, CommandError(code))
        if call.admitted == self.round:
            self.failures += 1
            if self.state is CircuitState.HALF_OPEN or self.failures >= self.config.failure_threshold:
                self.retry_at = self.clock() + self.config.reset_timeout / 1000
                self._becomes(CircuitState.OPEN)

    @rule(call=consumes(inside), error=st.sampled_from(NO_VERDICT))
    def end_without_a_verdict(self, call: Call, error: Exception) -> None:
        self._end(call, error)
        self.probes.discard(call)

    @rule(call=consumes(inside))
    def be_cancelled(self, call: Call) -> None:
        call.task.cancel()
        self._run()
        assert call.task.cancelled()
        self.probes.discard(call)

    @precondition(lambda self: self.state is CircuitState.OPEN)
    @rule(seconds=st.sampled_from([59.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def is_as_the_model_says(self) -> None:
        assert (self.breaker.state, self.breaker.failures) == (self.state, self.failures)
        assert len(self.probes) <= self.config.half_open_requests

    def teardown(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self._run()
        self.loop.close()

    def _call(self) -> Call:
        end: asyncio.Future[str] = self.loop.create_future()

        async def operation() -> str:
            return await end

        return Call(self.loop.create_task(self.breaker.execute(operation)), end)

    def _expect_admission(self, call: Call) -> None:
        if self.state is CircuitState.OPEN and self.clock() >= self.retry_at:
            self._becomes(CircuitState.HALF_OPEN)
        full = len(self.probes) >= self.config.half_open_requests
        if self.state is CircuitState.OPEN or (self.state is CircuitState.HALF_OPEN and full):
            return
        call.admitted = self.round
        if self.state is CircuitState.HALF_OPEN:
            self.probes.add(call)

    def _becomes(self, state: CircuitState) -> None:
        self.state = state
        self.round += 1
        self.probes.clear()

    def _end(self, call: Call, error: Exception) -> None:
        call.end.set_exception(error)
        self._run()
        assert call.task.exception() is error

    def _run(self) -> None:
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))


TestCallers = Callers.TestCase
TestCallers.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


# The gate


async def refuse() -> str:
    raise CommandError(ErrorCode.BREAKER_OPEN, "Starting sessions of claude on mac is paused.")


async def admit() -> str:
    return "written"


async def test_after_a_refusal_nobody_asks_for_a_second_and_then_one_does() -> None:
    clock = Clock()
    gate = BreakerGate(clock)
    with pytest.raises(CommandError):
        await gate.breaker_of("claude").execute(refuse)
    with pytest.raises(CommandError, match="claude on mac is paused") as caught:
        await gate.breaker_of("claude").execute(admit)
    assert caught.value.code is ErrorCode.BREAKER_OPEN
    clock.now += ASK_AGAIN_MS / 1000
    assert await gate.breaker_of("claude").execute(admit) == "written"


async def test_a_refusal_holds_back_no_other_cli_and_no_other_host() -> None:
    gate = BreakerGate(Clock())
    with pytest.raises(CommandError):
        await gate.breaker_of("claude", HOST).execute(refuse)
    assert await gate.breaker_of("codex", HOST).execute(admit) == "written"
    assert await gate.breaker_of("claude", UUID(int=2)).execute(admit) == "written"


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - {ErrorCode.BREAKER_OPEN}))
async def test_r7_no_other_refusal_of_the_office_closes_the_gate(code: ErrorCode) -> None:
    gate = BreakerGate(Clock())

    async def refuse_otherwise() -> str:
        raise CommandError(code)

    for _ in range(5):
        with pytest.raises(CommandError):
            await gate.breaker_of("claude").execute(refuse_otherwise)
    assert await gate.breaker_of("claude").execute(admit) == "written"


@pytest.mark.parametrize("wrong", [(0, 60_000, 1), (3, 0, 1), (3, 60_000, 0), (-1, 60_000, 1)])
def test_a_breaker_that_could_not_work_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError):
        CircuitBreakerConfig(*wrong)
