"""Starting a CLI that failed again and again is paused for a while.

Whether one of a host's CLIs may be started is the office's word (`circuit_breakers`, sql/010_breakers.sql): it lets a
command pass where it is written and counts where its result is, so nobody who dies, and no process that knows less,
can make it wrong. A process needs a breaker for another thing: of the many jobs that wait for a paused CLI, one has to
ask the office, and not all of them all the time. `BreakerGate` is that: a `CircuitBreaker` that a refusal of the office
opens for `ASK_AGAIN_MS`, and that lets one caller ask then. So it can say less than the office allows for a second at
most, and never more: the office decides on each one that passes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from pydantic import JsonValue

from semo_office.errors import CommandError, ConfigurationError, ErrorCode
from semo_office.link import Link
from semo_office.models import Record

ASK_AGAIN_MS: Final = 1_000
FAILURES: Final = frozenset({ErrorCode.LAUNCH_FAILED, ErrorCode.TERMINAL_UNAVAILABLE, ErrorCode.TIMEOUT})

T = TypeVar("T")


class CircuitState(StrEnum):
    """`closed`: all pass. `open`: none. `half-open`: so many probes, to see whether it works again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True)
class CircuitBreakerConfig:
    """`reset_timeout`: ms from opening to the first probe. Raises ConfigurationError for what is not positive."""

    failure_threshold: int = 3
    reset_timeout: float = 60_000
    half_open_requests: int = 1

    def __post_init__(self) -> None:
        if min(self.failure_threshold, self.reset_timeout, self.half_open_requests) <= 0:
            raise ConfigurationError("A circuit breaker's threshold, timeout and probes are greater than 0.")


def is_failure(error: CommandError) -> bool:
    """What speaks against the CLI, and not against the request, the room for it or the way to it."""
    return error.code in FAILURES


class CircuitBreaker:
    """The breaker of one process: `closed`, after failures in a row `open`, then `half-open` until a probe decides.

    clock: monotonic, s. counts: which CommandErrors are failures; other errors and cancellation say nothing, and a
    probe that ends so gives its place back. What was let through before the state changed does not count any more.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig,
        *,
        clock: Callable[[], float],
        counts: Callable[[CommandError], bool] = is_failure,
    ) -> None:
        self._config = config
        self._clock = clock
        self._counts = counts
        self._state = CircuitState.CLOSED
        self._round = 0
        self._failures = 0
        self._probes = 0
        self._retry_at = 0.0
        self._last: CommandError | None = None

    @property
    def state(self) -> CircuitState:
        """An open one becomes half-open when somebody asks after its time, and not by itself."""
        return self._state

    @property
    def failures(self) -> int:
        """Since the last success."""
        return self._failures

    async def execute(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do it, if it may be done now.

        Raises what it raises; CommandError(BREAKER_OPEN), with the sentence of the last failure, when it is not begun.
        """
        admitted = self._admit()
        try:
            result = await operation()
        except CommandError as err:
            if self._counts(err):
                self._on_failure(admitted, err)
            raise
        finally:
            self._give_back(admitted)
        self._on_success(admitted)
        return result

    def _admit(self) -> int:
        """The round in which it passes."""
        if self._should_attempt_reset():
            self._become(CircuitState.HALF_OPEN)
        if self._state is CircuitState.OPEN or self._every_place_taken():
            raise CommandError(ErrorCode.BREAKER_OPEN, str(self._last)) from self._last
        self._probes += self._state is CircuitState.HALF_OPEN
        return self._round

    def _should_attempt_reset(self) -> bool:
        return self._state is CircuitState.OPEN and self._clock() >= self._retry_at

    def _every_place_taken(self) -> bool:
        return self._state is CircuitState.HALF_OPEN and self._probes >= self._config.half_open_requests

    def _give_back(self, admitted: int) -> None:
        if admitted == self._round and self._state is CircuitState.HALF_OPEN:
            self._probes -= 1

    def _on_failure(self, admitted: int, error: CommandError) -> None:
        if admitted != self._round:
            return
        self._failures += 1
        self._last = error
        if self._state is CircuitState.HALF_OPEN or self._failures >= self._config.failure_threshold:
            self._retry_at = self._clock() + self._config.reset_timeout / 1000
            self._become(CircuitState.OPEN)

    def _on_success(self, admitted: int) -> None:
        if admitted != self._round:
            return
        self._failures = 0
        if self._state is CircuitState.HALF_OPEN:
            self._become(CircuitState.CLOSED)

    def _become(self, state: CircuitState) -> None:
        self._state = state
        self._round += 1
        self._probes = 0


class BreakerGate:
    """What one process goes by before it asks the office to start something. clock: monotonic, s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._breakers: dict[tuple[str, UUID | None], CircuitBreaker] = {}

    def breaker_of(self, profile: str, host_id: UUID | None = None) -> CircuitBreaker:
        """Opened by a refusal of the office. host_id None: the office chooses the host."""
        return self._breakers.setdefault(
            (profile, host_id),
            CircuitBreaker(
                CircuitBreakerConfig(failure_threshold=1, reset_timeout=ASK_AGAIN_MS),
                clock=self._clock,
                counts=lambda error: error.code is ErrorCode.BREAKER_OPEN,
            ),
        )


class Breaker(Record):
    """The office's word on one CLI of one host.

    `failures`: since the last success. `reason`: the last failure, or why an operator opened it; then it is `manual`,
    and stays so until a reset. `retry_in_ms`: to the first probe, as of the reading, None: no time is set. `probes`:
    how many are out.
    """

    host_id: UUID
    profile: str
    state: CircuitState
    failures: int
    failure_threshold: int
    reset_timeout_ms: int
    half_open_requests: int
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    reason: str | None = None
    manual: bool
    version: int
    retry_in_ms: int | None = None
    probes: int = 0


class BreakerStore:
    """`circuit_breakers`. A CLI without a row has never failed: its breaker is closed.

    Every method raises LinkError when the office can't be reached, NotAuthenticated, and CommandError when it refuses.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def breakers(self, office_id: UUID) -> list[Breaker]:
        """Those of the hosts that serve the office, host by host."""
        rows = await self._link.rpc("office_breakers", {"p_office_id": str(office_id)}, retry=True)
        return [_breaker_of(row) for row in rows] if isinstance(rows, list) else []

    async def open(self, office_id: UUID, host_id: UUID, profile: str, reason: str | None = None) -> Breaker:
        """Start nothing of this CLI there until it is reset. Raises CommandError(FORBIDDEN, INVALID_PAYLOAD)."""
        return await self._operate("open_breaker", office_id, host_id, profile, {"p_reason": reason})

    async def reset(self, office_id: UUID, host_id: UUID, profile: str) -> Breaker:
        """Close it and forget its failures. Raises CommandError(FORBIDDEN, INVALID_PAYLOAD)."""
        return await self._operate("reset_breaker", office_id, host_id, profile, {})

    async def _operate(
        self, function: str, office_id: UUID, host_id: UUID, profile: str, more: dict[str, JsonValue]
    ) -> Breaker:
        place: dict[str, JsonValue] = {"p_office_id": str(office_id), "p_host_id": str(host_id), "p_profile": profile}
        return Breaker.model_validate(await self._link.rpc(function, {**place, **more}, retry=True))


def _breaker_of(row: JsonValue) -> Breaker:
    facts = dict(row) if isinstance(row, dict) else {}
    breaker = facts.pop("breaker", None)
    return Breaker.model_validate({**facts, **(breaker if isinstance(breaker, dict) else {})})
