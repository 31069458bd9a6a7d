"""The sessions that an office makes for its jobs: spares that wait ready, and cold ones up to a cap."""

from typing import Final, Literal
from uuid import UUID

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from semo_office.breaker import BreakerGate
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import JobService, creation_id_of, new_session_id_of
from semo_office.leadership import Term
from semo_office.link import Link
from semo_office.models import AgentCommandResult, CreateSession, Job, JobAttempt, SessionInfo
from semo_office.stopping import first_of

SATURATED_S: Final = 3.0

# Nothing was begun, and it may be possible later: it does not count as a failure.
SATURATED: Final = frozenset({ErrorCode.POOL_EXHAUSTED, ErrorCode.HOST_OFFLINE, ErrorCode.BREAKER_OPEN})

_log = structlog.get_logger(__name__)


class PoolConfig(BaseModel):
    """What an operator wants of the pool; None stays as it is.

    `warm_pool_size`: spares that wait ready, by role. `max_cold_sessions`: what may live beside them. `idle_timeout`:
    ms after which the others are ended. `profile`: what runs in the spares named here; None: what did, else shell.
    """

    model_config = ConfigDict(frozen=True)

    warm_pool_size: dict[str, int] = Field(default_factory=dict)
    max_cold_sessions: int | None = None
    idle_timeout: int | None = None
    profile: str | None = None


class PoolDecision(BaseModel):
    """What the pool did last, and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: AwareDatetime
    role: str
    decision: Literal["spare", "cold", "wait", "fill", "replace", "reap", "release"]
    reason: str
    session_id: UUID | None = None
    attempt_id: UUID | None = None


class RolePool(BaseModel):
    """The sessions of one role, each counted once.

    `starting`: not ready yet, or not at the moment. `lost`: on hosts that were not seen for 30 s; the rest is without.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: str
    profile: str
    wanted: int
    spares: int
    starting: int
    in_use: int
    kept: int
    lost: int
    last: PoolDecision | None = None


class PoolStatus(BaseModel):
    """The pool as of one moment. `used` of `cap`: in use, about to be made, or spare beyond those wanted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    office_id: UUID
    cap: int
    used: int
    idle_timeout_ms: int
    spare_max_age_ms: int
    roles: tuple[RolePool, ...]
    last: PoolDecision | None = None


class Acquired(BaseModel):
    """`create`: the session is yet to be made, under this id and on this host. `reason`: why this one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: UUID
    create: bool
    host_id: UUID | None = None
    reason: str


class PoolStore:
    """The pool in the database. What takes a Term is for the leader, and refused with SUPERSEDED after it.

    Every method raises LinkError when the office can't be reached, NotAuthenticated, and CommandError when it refuses.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    # Operators

    async def set_pool(self, office_id: UUID, config: PoolConfig) -> PoolStatus:
        """Raises CommandError(INVALID_PAYLOAD), CommandError(FORBIDDEN); then nothing has changed."""
        spares: list[JsonValue] = [
            {"role": role, "warm_pool_size": size, "profile": config.profile}
            for role, size in config.warm_pool_size.items()
        ]
        row = await self._link.rpc(
            "set_pool",
            {
                "p_office_id": str(office_id),
                "p_spares": spares,
                "p_max_cold_sessions": config.max_cold_sessions,
                "p_idle_timeout_ms": config.idle_timeout,
            },
            retry=True,
        )
        return PoolStatus.model_validate(row)

    async def status(self, office_id: UUID) -> PoolStatus:
        """One read. Raises CommandError(FORBIDDEN)."""
        return PoolStatus.model_validate(
            await self._link.rpc("pool_status", {"p_office_id": str(office_id)}, retry=True)
        )

    async def dismiss(self, session_id: UUID) -> SessionInfo:
        """A kept session was read. Raises CommandError(SESSION_NOT_FOUND, SESSION_EXITED, CONFLICT)."""
        row = await self._link.rpc("dismiss_session", {"p_session_id": str(session_id)}, retry=True)
        return SessionInfo.model_validate(row)

    async def forget(self, office_id: UUID) -> int:
        """End in the tables what is on hosts that were not seen for 10 min; how many sessions."""
        return int(str(await self._link.rpc("forget_sessions", {"p_office_id": str(office_id)}, retry=True)))

    # The leader

    async def acquire(self, term: Term, attempt: JobAttempt, profile: str) -> Acquired:
        """A session for this attempt alone; again is no error.

        Raises CommandError(POOL_EXHAUSTED, HOST_OFFLINE) with the reason when the attempt has to wait.
        """
        row = await self._lead(
            "acquire_session",
            term,
            {
                "p_attempt_id": str(attempt.id),
                "p_profile": profile,
                "p_new_session_id": str(new_session_id_of(attempt)),
            },
        )
        if isinstance(row, dict) and row["session_id"] is None:
            raise CommandError(ErrorCode(str(row["error"])), str(row["reason"]))
        return Acquired.model_validate(row)

    async def release(self, term: Term, session_id: UUID) -> str | None:
        """What it is in the pool now, None: not the pool's. Raises CommandError(CONFLICT) while a job works in it."""
        row = await self._lead("release_session", term, {"p_session_id": str(session_id)})
        return str(row) if row is not None else None

    async def fill(self, term: Term) -> float | None:
        """Make and replace spares as wanted; in how many s to look again, None: when something changes."""
        row = await self._lead("fill_pool", term, {})
        return int(str(row)) / 1000 if row is not None else None

    async def reap(self, term: Term) -> int:
        """End what was idle too long; how many sessions."""
        return int(str(await self._lead("reap_pool", term, {})))

    async def _lead(self, function: str, term: Term, arguments: dict[str, JsonValue]) -> JsonValue:
        return await self._link.rpc(function, {**term.to_json(), **arguments}, retry=True)


class SessionPoolManager:
    """Hands sessions to the attempts of jobs, and keeps spares ready for the next ones.

    What it decides is decided in the database, each time in one step under the term of the leader: a manager that dies
    leaves nothing undone. What ends an attempt gives its session back in the same step.
    """

    def __init__(self, link: Link) -> None:
        self._store = PoolStore(link)
        self._jobs = JobService(link)
        self.gate = BreakerGate(link.clock)
        """What everything goes by that starts a program in this term."""

    async def initialize_warm_pool(self, term: Term) -> float | None:
        """Make the spares that are missing, replace those that are no good; in how many s to look again."""
        return await self._store.fill(term)

    async def acquire_session(self, term: Term, job: Job, attempt: JobAttempt, profile: str) -> UUID:
        """A session that is ready: a spare of the role, else a new one, as soon as cap and hosts have room for it.

        Raises CommandError when it could not be started, TermEnded. May be cancelled at any moment.
        """
        while True:
            try:
                acquired = await term.patiently(lambda: self._store.acquire(term, attempt, profile))
                if acquired.create:
                    await self._create(
                        term, attempt, CreateSession(profile=profile, role=job.role, host_id=acquired.host_id)
                    )
            except CommandError as err:
                if err.code not in SATURATED:
                    raise
                _log.info("no_room", job_id=str(job.id), error=err.code)
            else:
                return await self._see_ready(term, attempt, acquired.session_id)
            await term.pause(SATURATED_S)

    async def release_session(self, term: Term, session_id: UUID) -> str | None:
        """Give a session back that no attempt has any more; again is no error."""
        return await term.patiently(lambda: self._store.release(term, session_id))

    async def cleanup_idle_sessions(self, term: Term) -> int:
        """End spares beyond those that are wanted and what was dismissed, once they rested too long; how many."""
        return await self._store.reap(term)

    async def get_pool_status(self, office_id: UUID) -> PoolStatus:
        """Raises CommandError(FORBIDDEN)."""
        return await self._store.status(office_id)

    async def _create(self, term: Term, attempt: JobAttempt, request: CreateSession) -> None:
        await term.patiently(
            lambda: self._dispatcher(term, attempt).dispatch_create_session(
                request, session_id=new_session_id_of(attempt), command_id=creation_id_of(attempt)
            )
        )

    async def _see_ready(self, term: Term, attempt: JobAttempt, session_id: UUID) -> UUID:
        """The attempt's own session was made for it, by this leader or by the one before; a spare was ready."""
        if session_id == new_session_id_of(attempt):
            created = await first_of(self._creation(term, attempt), term.ended())
            if not created.success:
                raise CommandError(created.error or ErrorCode.LAUNCH_FAILED, created.message)
        return session_id

    async def _creation(self, term: Term, attempt: JobAttempt) -> AgentCommandResult:
        command_id = creation_id_of(attempt)
        outcome = await term.patiently(
            lambda: self._dispatcher(term, attempt).wait_for_outcome(command_id, None, until_input=False)
        )
        if outcome.result is None:
            raise CommandError(ErrorCode.CONFLICT, f"The command {command_id} has finished without a result.")
        return outcome.result

    def _dispatcher(self, term: Term, attempt: JobAttempt) -> CommandDispatcher:
        return CommandDispatcher(self._jobs.commands(term, attempt), term.office_id, self.gate)
