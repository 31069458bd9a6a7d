"""From a job that is ready to one that is done: its session, its prompt, and what came of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Never
from uuid import UUID

import structlog
from pydantic import JsonValue

from semo_office.agents import AgentService
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import JobService, Verdict, prompt_id_of
from semo_office.leadership import DEPOSED, Term
from semo_office.models import (
    AgentCommandResult,
    AttemptStatus,
    CommandStatus,
    Job,
    JobAttempt,
    JobStatus,
    OfficeAgent,
)
from semo_office.pool import SessionPoolManager
from semo_office.stopping import first_of

PROFILE: Final = "shell"
TURN_LIMIT_MS: Final = 60 * 60 * 1000
CANCEL_S: Final = 10.0
CANCEL_AGAIN_S: Final = 1.0
EVIDENCE_LINES: Final = 20
EVIDENCE_CHARACTERS: Final = 4_000
_MEASURED: Final[tuple[str, ...]] = ("exit_status", "duration_ms")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Retry:
    """How often one failure is tried again in a round, and after which pause; each next pause is twice as long."""

    times: int
    pause_ms: int = 0


RETRIES: Final[dict[ErrorCode, Retry]] = {
    ErrorCode.LAUNCH_FAILED: Retry(3, 2_000),
    ErrorCode.TERMINAL_UNAVAILABLE: Retry(3, 2_000),
    ErrorCode.HOST_OFFLINE: Retry(3, 2_000),
    # In these three cases the prompt was not typed.
    ErrorCode.DRAFT_PRESENT: Retry(3, 2_000),
    ErrorCode.NOT_READY: Retry(3, 2_000),
    ErrorCode.SESSION_BLOCKED: Retry(3, 2_000),
    ErrorCode.SESSION_EXITED: Retry(1),
    ErrorCode.TIMEOUT: Retry(1),
}


class SessionOrchestrator:
    """Executes the jobs of one term. Every step can be done again: the next leader goes on where this one ended."""

    def __init__(self, jobs: JobService, agents: AgentService, pool: SessionPoolManager, term: Term) -> None:
        self._jobs = jobs
        self._agents = agents
        self._pool = pool
        self._term = term
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

    def build_prompt(self, job: Job, agent: OfficeAgent | None) -> str:
        """What is sent to the session. A shell gets the description as it is; who does it makes no difference."""
        return job.description

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
        agent_id = job.agent_id
        agent = await self._term.patiently(lambda: self._agents.get_agent(agent_id)) if agent_id else None
        execution = _Execution(self._jobs, self._pool, self._term, job, attempt, cancelled)
        await self.handle_job_completion(job, attempt, await execution.run(self.build_prompt(job, agent)))


class _Execution:
    """One attempt."""

    def __init__(
        self,
        jobs: JobService,
        pool: SessionPoolManager,
        term: Term,
        job: Job,
        attempt: JobAttempt,
        cancelled: asyncio.Event,
    ) -> None:
        self._pool = pool
        self._term = term
        self._job = job
        self._attempt = attempt
        self._cancelled = cancelled
        self._commands = jobs.commands(term, attempt)
        self._dispatcher = CommandDispatcher(self._commands, term.office_id)

    async def run(self, prompt: str) -> Verdict:
        """Raises TermEnded, and CommandError(SUPERSEDED) when another server leads."""
        try:
            return judge(await self._prompt_result(prompt))
        except CommandError as err:
            if err.code is ErrorCode.SUPERSEDED:
                raise
            return _verdict_of(err.code, str(err))

    async def _prompt_result(self, prompt: str) -> AgentCommandResult:
        attempt = self._attempt
        if attempt.command_id is not None and attempt.session_id is not None:
            # The leader before has sent it: it is followed, whatever became of its session.
            return await self._follow(attempt.session_id)
        session_id = await self._ready_session()
        await self._term.patiently(
            lambda: self._dispatcher.dispatch_send_prompt(
                session_id, prompt, turn_limit_ms=TURN_LIMIT_MS, command_id=prompt_id_of(attempt)
            )
        )
        return await self._follow(session_id)

    async def _ready_session(self) -> UUID:
        """The pool's choice, unless the job is cancelled before there is one."""
        return await first_of(
            self._pool.acquire_session(self._term, self._job, self._attempt, PROFILE), self._raise_when_cancelled()
        )

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
        """Again and again: the first one may come before the prompt is typed, and then stops nothing."""
        await self._cancelled.wait()
        while True:
            if await self._prompt_has_begun():
                await self._interrupt(session_id)
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


def judge(result: AgentCommandResult) -> Verdict:
    """What the end of a shell's turn says of the job: done with exit status 0, and with nothing else."""
    facts = result.result or {}
    evidence = _evidence(facts)
    if not result.success:
        return _verdict_of(result.error, result.message, evidence)
    exit_status = facts.get("exit_status")
    if exit_status == 0:
        return Verdict(status=AttemptStatus.DONE, evidence=evidence)
    reason = "It ended without an exit status." if exit_status is None else f"exit {exit_status}"
    return Verdict(status=AttemptStatus.FAILED, reason=reason, evidence=evidence)


def pause_before_retry(verdict: Verdict, attempts: Sequence[JobAttempt]) -> int | None:
    """ms until the job is tried again; None: not by itself. `attempts`: all of the job, this one the last."""
    if verdict.status is not AttemptStatus.FAILED or verdict.error is None or not attempts:
        return None
    this = attempts[-1]
    if verdict.error is ErrorCode.TIMEOUT and this.command_id is not None:
        # A turn that took too long may still be at work; a session that did not start is not.
        return None
    same = [each for each in attempts[:-1] if each.round == this.round and each.error is verdict.error]
    retry = RETRIES.get(verdict.error, Retry(0))
    return retry.pause_ms * 2 ** len(same) if len(same) < retry.times else None


def _verdict_of(code: ErrorCode | None, reason: str | None, evidence: dict[str, JsonValue] | None = None) -> Verdict:
    status = AttemptStatus.CANCELLED if code is ErrorCode.CANCELLED else AttemptStatus.FAILED
    return Verdict(status=status, error=code, reason=reason, evidence=evidence or {})


def _evidence(facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
    kept: dict[str, JsonValue] = {name: facts[name] for name in _MEASURED if name in facts}
    output = facts.get("output")
    return {**kept, "output": _last_lines(output)} if isinstance(output, str) else kept


def _last_lines(output: str) -> str:
    return "\n".join(output.split("\n")[-EVIDENCE_LINES:])[-EVIDENCE_CHARACTERS:]
