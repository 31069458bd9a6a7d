"""Jobs in the database: added by operators, done under the office's leading server."""

import json
from collections.abc import Sequence
from typing import Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from semo_office.commands import CommandRepository, NewCommand
from semo_office.dispatcher import typeable
from semo_office.errors import CommandError, ErrorCode
from semo_office.leadership import Term
from semo_office.link import Link, among, eq, gt
from semo_office.models import AgentCommand, AttemptStatus, CommandType, Job, JobAttempt, JobStatus

REQUEST_BYTES_MAX: Final = 3 * 1024 * 1024
_IDS: Final = uuid5(NAMESPACE_URL, "semo:job-attempt")


class NewJob(BaseModel):
    """What an operator asks for. The client makes the id: adding it again after a lost answer does no harm.

    `role` None: that of `agent_id`. `profile` None: the one of whoever does it, else shell. `turn_limit_ms` None: the
    server's own limit. `any_role`: also a role that nobody has. `name`: under which a refusal speaks of it.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID = Field(default_factory=uuid4)
    office_id: UUID
    role: str | None = None
    title: str
    description: str
    depends_on: tuple[UUID, ...] = ()
    priority: int = 100
    profile: str | None = None
    turn_limit_ms: int | None = None
    agent_id: UUID | None = None
    any_role: bool = False
    name: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """An element of `create_jobs`. Raises CommandError(INVALID_PAYLOAD) for a text that can't be sent."""
        where = f" of {self.name}" if self.name else ""
        texts: dict[str, JsonValue] = {
            "title": typeable(self.title, f"title{where}"),
            "description": typeable(self.description, f"description{where}"),
        }
        if self.role is not None:
            texts["role"] = typeable(self.role, f"role{where}")
        if self.name is not None:
            texts["name"] = typeable(self.name, "name of a job")
        return {**self.model_dump(mode="json", exclude_none=True, exclude={"office_id"}), **texts}


class DueJob(BaseModel):
    """A job that runs, or that may begin in `due_in_ms`."""

    model_config = ConfigDict(frozen=True)

    job: Job
    due_in_ms: int


class Verdict(BaseModel):
    """How an attempt ended. A job that did what it was to do and failed has a `reason` and no `error`."""

    model_config = ConfigDict(frozen=True)

    status: Literal[AttemptStatus.DONE, AttemptStatus.FAILED, AttemptStatus.NEEDS_REVIEW, AttemptStatus.CANCELLED]
    error: ErrorCode | None = None
    reason: str | None = None
    evidence: dict[str, JsonValue] = Field(default_factory=dict)
    may_still_run: bool = False
    """What the attempt began may go on in its session: it is not begun again beside it."""


Review = Literal["done", "failed", "retry"]

_OPEN: Final = TypeAdapter(list[DueJob])
_JOBS: Final = TypeAdapter(list[Job])


def prompt_id_of(attempt: JobAttempt) -> UUID:
    """The command of an attempt's prompt. It follows from job and attempt: whoever leads next finds it again."""
    return _derived(attempt, "prompt")


def creation_id_of(attempt: JobAttempt) -> UUID:
    """The command that makes the attempt's own session."""
    return _derived(attempt, "create")


def new_session_id_of(attempt: JobAttempt) -> UUID:
    """The session that is made when no other is idle."""
    return _derived(attempt, "session")


def ending_id_of(attempt: JobAttempt) -> UUID:
    """The command that ends the attempt's session."""
    return _derived(attempt, "terminate")


def _derived(attempt: JobAttempt, what: str) -> UUID:
    return uuid5(_IDS, f"{attempt.job_id}:{attempt.attempt}:{what}")


def _check_size(asked: list[JsonValue]) -> None:
    size = len(json.dumps(asked))
    if size > REQUEST_BYTES_MAX:
        raise CommandError(
            ErrorCode.INVALID_PAYLOAD,
            f"The jobs have {size} bytes together; at most {REQUEST_BYTES_MAX} can be added at once. "
            "Add them in several parts.",
        )


class JobService:
    """`job_queue` and `job_attempts`. What takes a Term is for the leader, and refused with SUPERSEDED after it.

    Every method raises LinkError when the office can't be reached, NotAuthenticated, and CommandError when it refuses.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def clock(self) -> float:
        """Monotonic, s; the link's."""
        return self._link.clock()

    # Operators

    async def add_job(self, job: NewJob) -> Job:
        """Raises CommandError(INVALID_PAYLOAD) also for a dependency that is not in the office."""
        [added] = await self.add_jobs(job.office_id, [job])
        return added

    async def add_jobs(self, office_id: UUID, jobs: Sequence[NewJob]) -> list[Job]:
        """All or none; they may wait for one another, in any order.

        Raises CommandError: INVALID_PAYLOAD for what can't be a job, an unknown role or dependency, and for jobs that
        would wait for one another for ever; CONFLICT for an archived office.
        """
        asked: list[JsonValue] = [job.to_json() for job in jobs]
        _check_size(asked)
        rows = await self._link.rpc("create_jobs", {"p_office_id": str(office_id), "p_jobs": asked}, retry=True)
        return _JOBS.validate_python(rows)

    async def cancel_job(self, job_id: UUID) -> Job:
        """A job that runs is stopped by the leader; until then it is `processing`. Raises CommandError(CONFLICT)."""
        return await self._operate("cancel_job", job_id)

    async def retry_job(self, job_id: UUID) -> Job:
        """Begin a new round of a job that failed or was cancelled. Raises CommandError(CONFLICT)."""
        # Not repeated: of two, the second would be refused.
        return Job.model_validate(await self._link.rpc("retry_job", {"p_id": str(job_id)}))

    async def review_job(self, job_id: UUID, verdict: Review, note: str | None = None) -> Job:
        """A person's word on a job that needs it; the note is in the next prompt. Raises CommandError(CONFLICT)."""
        return Job.model_validate(
            await self._link.rpc("review_job", {"p_id": str(job_id), "p_verdict": verdict, "p_note": note})
        )

    async def get_job(self, job_id: UUID) -> Job | None:
        """None: there is no such job, or none that the caller may see."""
        rows = await self._link.select("job_queue", filters=[eq("id", job_id)])
        return Job.model_validate(rows[0]) if rows else None

    async def get_jobs(self, office_id: UUID, statuses: Sequence[JobStatus] = tuple(JobStatus)) -> list[Job]:
        """The office's jobs in these states, oldest first."""
        rows = await self._link.select(
            "job_queue", filters=[eq("office_id", office_id), among("status", statuses)], order=["created_at", "id"]
        )
        return [Job.model_validate(row) for row in rows]

    async def get_attempts(self, job_id: UUID) -> list[JobAttempt]:
        """The tries of a job, the first one first."""
        rows = await self._link.select("job_attempts", filters=[eq("job_id", job_id)], order=["attempt"])
        return [JobAttempt.model_validate(row) for row in rows]

    async def get_last_attempts(self, job_ids: Sequence[UUID]) -> dict[UUID, JobAttempt]:
        """The last try of each of these jobs that was tried."""
        rows = await self._link.select("job_attempts", filters=[among("job_id", job_ids)], order=["attempt"])
        return {attempt.job_id: attempt for attempt in map(JobAttempt.model_validate, rows)}

    async def get_jobs_by_id(self, job_ids: Sequence[UUID]) -> list[Job]:
        """Those of them that there are, oldest first."""
        rows = await self._link.select("job_queue", filters=[among("id", job_ids)], order=["created_at", "id"])
        return [Job.model_validate(row) for row in rows]

    async def is_led(self, office_id: UUID) -> bool:
        """Whether a server runs the office's jobs now, by the office's clock."""
        rows = await self._link.select("office_leases", filters=[eq("office_id", office_id), gt("expires_at", "now")])
        return any(row["instance_id"] is not None for row in rows)

    # The leader

    async def open_jobs(self, term: Term) -> list[DueJob]:
        """What runs and what is ready, most urgent first."""
        return _OPEN.validate_python(await self._lead("open_jobs", term, {}))

    async def begin_attempt(self, term: Term, job_id: UUID) -> JobAttempt:
        """The attempt that runs, else a new one. Raises CommandError(CONFLICT): the job is not ready any more."""
        return JobAttempt.model_validate(await self._lead("begin_attempt", term, {"p_job_id": str(job_id)}))

    async def get_nonce(self, term: Term, attempt: JobAttempt) -> str:
        """The word that only this attempt's prompt has: a CLI that repeats it at the end says that the job is done."""
        return str(await self._lead("attempt_nonce", term, {"p_attempt_id": str(attempt.id)}))

    async def finish_attempt(
        self, term: Term, attempt: JobAttempt, verdict: Verdict, *, retry_in_ms: int | None = None
    ) -> Job:
        """What became of it; again is no error. `retry_in_ms`: a job that failed is ready again then, None: never."""
        row = await self._lead(
            "finish_attempt",
            term,
            {
                "p_attempt_id": str(attempt.id),
                "p_status": verdict.status,
                "p_error": verdict.error,
                "p_reason": verdict.reason,
                "p_evidence": verdict.evidence,
                "p_retry_in_ms": retry_in_ms,
            },
        )
        return Job.model_validate(row)

    def commands(self, term: Term, attempt: JobAttempt) -> "JobCommands":
        """The commands of an attempt, written under the leader's term."""
        return JobCommands(self._link, term, attempt)

    async def _operate(self, function: str, job_id: UUID) -> Job:
        return Job.model_validate(await self._link.rpc(function, {"p_id": str(job_id)}, retry=True))

    async def _lead(self, function: str, term: Term, arguments: dict[str, JsonValue]) -> JsonValue:
        return await self._link.rpc(function, {**term.to_json(), **arguments}, retry=True)


class JobCommands(CommandRepository):
    """Commands in the name of whoever added the job, for the attempt's session only."""

    def __init__(self, link: Link, term: Term, attempt: JobAttempt) -> None:
        super().__init__(link)
        self._term = term
        self._attempt_id = attempt.id

    async def create_command(self, command: NewCommand) -> AgentCommand:
        """Raises CommandError: SUPERSEDED, CANCELLED for a prompt of a job that was cancelled."""
        if command.command_type is CommandType.TERMINATE:
            return await self._end_session(command)
        row = await self._link.rpc(
            "create_job_command",
            {
                **self._term.to_json(),
                "p_attempt_id": str(self._attempt_id),
                "p_id": str(command.id),
                "p_command_type": command.command_type,
                "p_payload": command.payload,
                "p_session_id": str(command.session_id),
                "p_start_by_ms": command.start_by_ms,
            },
            retry=True,
        )
        return AgentCommand.model_validate(row)

    async def _end_session(self, command: NewCommand) -> AgentCommand:
        row = await self._link.rpc(
            "end_attempt_session",
            {**self._term.to_json(), "p_attempt_id": str(self._attempt_id), "p_id": str(command.id)},
            retry=True,
        )
        return AgentCommand.model_validate(row)
