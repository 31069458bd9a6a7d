"""From a job that is ready to one that is done."""

import asyncio
from functools import partial
from typing import Final, Protocol
from uuid import UUID

import structlog

from semo_office.agents import AgentService
from semo_office.background import BackgroundReader
from semo_office.briefing import Background, write_briefing
from semo_office.errors import CommandError, ErrorCode
from semo_office.execution import Execution
from semo_office.jobs import JobService, Verdict
from semo_office.leadership import Term
from semo_office.models import HostProfile, Job, JobAttempt, JobStatus, OfficeAgent
from semo_office.pool import SessionPoolManager
from semo_office.verdict import pause_before_retry, verdict_of

# What every host can start, whether it says so or not.
SHELL: Final = HostProfile(host_id=UUID(int=0), name="shell", job_prompt="verbatim", done_by="exit_status")

_log = structlog.get_logger(__name__)


class ProfileCatalog(Protocol):
    """What the hosts of an office can start."""

    async def profiles(self, office_id: UUID) -> list[HostProfile]:
        """One for each host and profile. Raises LinkError."""
        ...


class SessionOrchestrator:
    """Executes the jobs of one term. Every step can be done again: the next leader goes on where this one ended."""

    def __init__(
        self,
        pool: SessionPoolManager,
        jobs: JobService,
        agents: AgentService,
        profiles: ProfileCatalog,
        term: Term,
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._agents = agents
        self._profiles = profiles
        self._term = term
        self._reader = BackgroundReader(jobs, agents)
        self._cancels: dict[UUID, asyncio.Event] = {}

    async def execute_job(self, job: Job) -> None:
        """Begin a job, or go on with one that runs, to the end of one attempt.

        Raises TermEnded, and CommandError(SUPERSEDED, FORBIDDEN) when another server leads.
        """
        cancelled = self._cancels.setdefault(job.id, asyncio.Event())
        try:
            attempt = await self._begin(job)
            if attempt is not None:
                await self.handle_job_completion(job, attempt, await self._verdict(job, attempt, cancelled))
        finally:
            del self._cancels[job.id]

    def cancel_job(self, job_id: UUID) -> None:
        """Stop what runs of this job. Nothing happens when nothing does."""
        if (cancelled := self._cancels.get(job_id)) is not None:
            cancelled.set()

    def build_prompt(self, job: Job, agent: OfficeAgent | None, background: Background | None = None) -> str:
        """What is sent to the session. A shell gets the description as it is, a CLI a briefing of its background.

        Raises CommandError(INVALID_PAYLOAD): it would be too long.
        """
        return job.description if background is None else write_briefing(job, agent, background)

    async def handle_job_completion(self, job: Job, attempt: JobAttempt, verdict: Verdict) -> None:
        """Write down what became of the attempt; the office makes ready what waited for the job."""
        attempts = await self._term.patiently(lambda: self._jobs.get_attempts(job.id))
        retry_in_ms = pause_before_retry(verdict, attempts)
        finished = await self._term.patiently(
            lambda: self._jobs.finish_attempt(self._term, attempt, verdict, retry_in_ms=retry_in_ms)
        )
        _log.info(
            "attempt_finished",
            job_id=str(job.id),
            attempt=attempt.attempt,
            status=verdict.status,
            error=verdict.error,
            job_status=finished.status,
        )

    async def _begin(self, job: Job) -> JobAttempt | None:
        """None: the job was cancelled meanwhile."""
        try:
            attempt = await self._term.patiently(lambda: self._jobs.begin_attempt(self._term, job.id))
        except CommandError as err:
            if err.code is ErrorCode.CONFLICT:
                return None
            raise
        resumed = job.status is JobStatus.PROCESSING
        _log.info("attempt_begun", job_id=str(job.id), attempt=attempt.attempt, resumed=resumed)
        return attempt

    async def _verdict(self, job: Job, attempt: JobAttempt, cancelled: asyncio.Event) -> Verdict:
        profile = await self._profile_of(job)
        if profile is None and attempt.command_id is None:
            sentence = f"No host of this office has the profile {job.profile}. Add it there, and start its agent again."
            return verdict_of(ErrorCode.LAUNCH_FAILED, sentence)
        nonce = await self._nonce(attempt, profile)
        execution = Execution(self._jobs, self._pool, self._term, job, attempt, cancelled)
        return await execution.run(partial(self._compose, job, attempt, profile, nonce), nonce)

    async def _profile_of(self, job: Job) -> HostProfile | None:
        reported = await self._term.patiently(lambda: self._profiles.profiles(job.office_id))
        found = [profile for profile in reported if profile.name == job.profile]
        return found[0] if found else SHELL if job.profile == SHELL.name else None

    async def _nonce(self, attempt: JobAttempt, profile: HostProfile | None) -> str | None:
        """Of a profile that is not there any more nobody knows what says that a job is done: a person decides."""
        if profile is not None and profile.done_by == "exit_status":
            return None
        return await self._term.patiently(lambda: self._jobs.get_nonce(self._term, attempt))

    async def _compose(self, job: Job, attempt: JobAttempt, profile: HostProfile | None, nonce: str | None) -> str:
        agent_id = job.agent_id
        agent = await self._term.patiently(lambda: self._agents.get_agent(agent_id)) if agent_id else None
        if profile is None or profile.job_prompt == "verbatim":
            return self.build_prompt(job, agent)
        background = await self._term.patiently(lambda: self._reader.read(job, attempt, agent, nonce))
        return self.build_prompt(job, agent, background)
