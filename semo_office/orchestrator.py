"""From a job that is ready to one that is done: its session, its prompt, and what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Never, Protocol
from uuid import UUID

import structlog

from semo_office.agents import AgentService
from semo_office.breaker import BreakerGate
from semo_office.briefing import Background, Report, write_briefing
from semo_office.commands import Outcome
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import JobService, Verdict, creation_id_of, ending_id_of, new_session_id_of, prompt_id_of
from semo_office.leadership import DEPOSED, Term
from semo_office.models import (
    AgentCommandResult,
    AgentPersona,
    CommandStatus,
    CreateSession,
    HostProfile,
    Job,
    JobAttempt,
    JobStatus,
    OfficeAgent,
)
from semo_office.stopping import first_of
from semo_office.verdict import judge, pause_before_retry, result_text, verdict_of

TURN_LIMIT_MS: Final = 60 * 60 * 1000
SATURATED_S: Final = 3.0
CANCEL_S: Final = 10.0
CANCEL_AGAIN_S: Final = 1.0
INTERRUPTS: Final = 3
END_S: Final = 30.0

# Nothing was begun, and it may be possible later: it does not count as a failure.
SATURATED: Final = frozenset({ErrorCode.POOL_EXHAUSTED, ErrorCode.HOST_OFFLINE, ErrorCode.BREAKER_OPEN})
GONE: Final = frozenset({ErrorCode.SESSION_EXITED, ErrorCode.SESSION_NOT_FOUND})

# What every host can start, whether it says so or not.
SHELL: Final = HostProfile(host_id=UUID(int=0), name="shell", job_prompt="verbatim", done_by="exit_status")

Compose = Callable[[], Awaitable[str]]

_log = structlog.get_logger(__name__)


class ProfileCatalog(Protocol):
    """What the hosts of an office can start."""

    async def profiles(self, office_id: UUID) -> list[HostProfile]:
        """One for each host and profile. Raises LinkError."""
        ...


class SessionOrchestrator:
    """Executes the jobs of one term. Every step can be done again: the next leader goes on where this one ended."""

    def __init__(self, jobs: JobService, agents: AgentService, profiles: ProfileCatalog, term: Term) -> None:
        self._jobs = jobs
        self._agents = agents
        self._profiles = profiles
        self._term = term
        self._gate = BreakerGate(jobs.clock)
        self._cancels: dict[UUID, asyncio.Event] = {}

    async def execute_job(self, job: Job) -> None:
        """Begin a job, or go on with one that runs, to the end of one attempt.

        Raises TermEnded, and CommandError(SUPERSEDED, FORBIDDEN) when another server leads.
        """
        cancelled = self._cancels.setdefault(job.id, asyncio.Event())
        try:
            attempt = await self._begin(job)
            if attempt is not None:
                await self._run(job, attempt, cancelled)
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

    async def _run(self, job: Job, attempt: JobAttempt, cancelled: asyncio.Event) -> None:
        profile = await self._profile_of(job)
        if profile is None and attempt.command_id is None:
            sentence = f"No host of this office has the profile {job.profile}. Add it there, and start its agent again."
            verdict = verdict_of(ErrorCode.LAUNCH_FAILED, sentence)
        else:
            nonce = await self._nonce(attempt, profile)
            execution = _Execution(self._jobs, self._term, job, attempt, cancelled, self._gate)
            verdict = await execution.run(partial(self._compose, job, attempt, profile, nonce), nonce)
        await self.handle_job_completion(job, attempt, verdict)

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
        background = await self._term.patiently(partial(self._background, job, attempt, agent, nonce))
        return self.build_prompt(job, agent, background)

    async def _background(
        self, job: Job, attempt: JobAttempt, agent: OfficeAgent | None, nonce: str | None
    ) -> Background:
        return Background(
            nonce=nonce,
            persona=await self._persona(job, agent),
            branch=job.branch_name,
            results=await self._results(job),
            last_try=await self._last_try(attempt),
            note=job.review_note,
        )

    async def _persona(self, job: Job, agent: OfficeAgent | None) -> AgentPersona | None:
        if agent is not None:
            return await self._agents.get_persona(agent)
        return await self._agents.get_role_persona(job.office_id, job.role)

    async def _results(self, job: Job) -> tuple[Report, ...]:
        if not job.depends_on:
            return ()
        attempts = await self._jobs.get_last_attempts(job.depends_on)
        return tuple(
            Report(before.title, result_text(attempts[before.id].evidence) if before.id in attempts else "")
            for before in await self._jobs.get_jobs_by_id(job.depends_on)
        )

    async def _last_try(self, attempt: JobAttempt) -> Report | None:
        before = [each for each in await self._jobs.get_attempts(attempt.job_id) if each.attempt < attempt.attempt]
        if not before:
            return None
        last = before[-1]
        return Report(f"It ended: {last.reason or last.status}", result_text(last.evidence))


class _Execution:
    """One attempt."""

    def __init__(
        self,
        jobs: JobService,
        term: Term,
        job: Job,
        attempt: JobAttempt,
        cancelled: asyncio.Event,
        gate: BreakerGate,
    ) -> None:
        self._jobs = jobs
        self._term = term
        self._job = job
        self._attempt = attempt
        self._cancelled = cancelled
        self._session_id: UUID | None = None
        self._commands = jobs.commands(term, attempt)
        self._dispatcher = CommandDispatcher(self._commands, term.office_id, gate)

    async def run(self, compose: Compose, nonce: str | None) -> Verdict:
        """Raises TermEnded, and CommandError(SUPERSEDED) when another server leads."""
        try:
            verdict = judge(await self._prompt_result(compose), nonce)
        except CommandError as err:
            if err.code is ErrorCode.SUPERSEDED:
                raise
            return verdict_of(err.code, str(err))
        return await self._after_limit(verdict) if verdict.error is ErrorCode.TIMEOUT else verdict

    async def _prompt_result(self, compose: Compose) -> AgentCommandResult:
        attempt = self._attempt
        if attempt.command_id is not None and attempt.session_id is not None:
            # The leader before has sent it: it is followed, whatever became of its session.
            self._session_id = attempt.session_id
        else:
            self._session_id = await self._ready_session()
            await self._send(self._session_id, await compose())
        return await self._follow(self._session_id)

    async def _send(self, session_id: UUID, prompt: str) -> None:
        """As soon as the breaker of its CLI lets it pass."""
        while True:
            try:
                await self._term.patiently(partial(self._dispatch_prompt, session_id, prompt))
            except CommandError as err:
                if err.code is not ErrorCode.BREAKER_OPEN:
                    raise
                _log.info("paused", job_id=str(self._job.id), error=err.code)
            else:
                return
            await self._pause()

    async def _dispatch_prompt(self, session_id: UUID, prompt: str) -> Outcome:
        return await self._dispatcher.dispatch_send_prompt(
            session_id,
            prompt,
            turn_limit_ms=self._job.turn_limit_ms or TURN_LIMIT_MS,
            job_profile=self._job.profile,
            command_id=prompt_id_of(self._attempt),
        )

    async def _after_limit(self, verdict: Verdict) -> Verdict:
        """A turn that took too long may still be at work: it is tried again only after its process is gone."""
        gone = self._session_id is not None and await self._end_session(self._session_id)
        reason = verdict.reason if gone else f"{verdict.reason or 'It took too long.'} Its session could not be ended."
        return verdict.model_copy(update={"may_still_run": not gone, "reason": reason})

    async def _end_session(self, session_id: UUID) -> bool:
        """Whether its process is gone."""
        try:
            ended = await self._term.patiently(partial(self._terminate, session_id))
        except CommandError as err:
            if err.code in DEPOSED:
                raise
            _log.info("not_ended", job_id=str(self._job.id), error=err.code)
            return err.code in GONE
        return ended.result is not None and (ended.result.success or ended.result.error in GONE)

    async def _terminate(self, session_id: UUID) -> Outcome:
        return await self._dispatcher.dispatch_terminate(
            session_id, timeout=END_S, command_id=ending_id_of(self._attempt)
        )

    async def _ready_session(self) -> UUID:
        """An idle session of the role, else a new one, as soon as the hosts have room for it."""
        while True:
            session_id = await self._term.patiently(
                lambda: self._jobs.acquire_session(self._term, self._attempt, self._job.profile)
            )
            if session_id != new_session_id_of(self._attempt):
                return session_id
            try:
                await self._term.patiently(partial(self._create, session_id))
            except CommandError as err:
                if err.code not in SATURATED:
                    raise
                _log.info("no_room", job_id=str(self._job.id), error=err.code)
            else:
                return await self._see_created(session_id)
            await self._pause()

    async def _create(self, session_id: UUID) -> Outcome:
        request = CreateSession(profile=self._job.profile, role=self._job.role)
        return await self._dispatcher.dispatch_create_session(
            request, session_id=session_id, command_id=creation_id_of(self._attempt)
        )

    async def _see_created(self, session_id: UUID) -> UUID:
        created = await first_of(
            self._result(creation_id_of(self._attempt)), self._term.ended(), self._raise_when_cancelled()
        )
        if not created.success:
            raise CommandError(created.error or ErrorCode.LAUNCH_FAILED, created.message)
        return session_id

    async def _follow(self, session_id: UUID) -> AgentCommandResult:
        return await first_of(
            self._result(prompt_id_of(self._attempt)), self._term.ended(), self._interrupt_when_cancelled(session_id)
        )

    async def _result(self, command_id: UUID) -> AgentCommandResult:
        outcome = await self._term.patiently(
            lambda: self._dispatcher.wait_for_outcome(command_id, None, until_input=False)
        )
        if outcome.result is None:
            raise CommandError(ErrorCode.CONFLICT, f"The command {command_id} has finished without a result.")
        return outcome.result

    async def _interrupt_when_cancelled(self, session_id: UUID) -> Never:
        """Again and again: the first one may come before the prompt is typed, and then stops nothing.

        What does not come back is ended with its session.
        """
        await self._cancelled.wait()
        interrupts = 0
        while True:
            if await self._prompt_has_begun():
                interrupts += 1
                stop = self._interrupt if interrupts <= INTERRUPTS else self._end_session
                await stop(session_id)
            await self._term.pause(CANCEL_AGAIN_S)

    async def _prompt_has_begun(self) -> bool:
        """One that nobody had claimed was taken back with the cancel: a Ctrl-C would be for what comes after it."""
        prompt = await self._term.patiently(lambda: self._commands.get_command(prompt_id_of(self._attempt)))
        return prompt is not None and prompt.status is CommandStatus.PROCESSING

    async def _interrupt(self, session_id: UUID) -> None:
        try:
            await self._term.patiently(lambda: self._dispatcher.dispatch_cancel(session_id, timeout=CANCEL_S))
        except CommandError as err:
            if err.code in DEPOSED:
                raise
            _log.info("not_interrupted", job_id=str(self._job.id), error=err.code)

    async def _raise_when_cancelled(self) -> Never:
        await self._cancelled.wait()
        raise CommandError(ErrorCode.CANCELLED)

    async def _pause(self) -> None:
        await first_of(self._term.pause(SATURATED_S), self._raise_when_cancelled())
