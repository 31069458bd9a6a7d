"""One attempt of a job: its session, its prompt, and what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Never
from uuid import UUID

import structlog

from semo_office.commands import Outcome
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import JobService, Verdict, ending_id_of, prompt_id_of
from semo_office.leadership import DEPOSED, Term
from semo_office.models import AgentCommandResult, CommandStatus, Job, JobAttempt
from semo_office.pool import SATURATED_S, SessionPoolManager
from semo_office.stopping import first_of
from semo_office.verdict import judge, verdict_of

TURN_LIMIT_MS: Final = 60 * 60 * 1000
CANCEL_S: Final = 10.0
CANCEL_AGAIN_S: Final = 1.0
INTERRUPTS: Final = 3
END_S: Final = 30.0

GONE: Final = frozenset({ErrorCode.SESSION_EXITED, ErrorCode.SESSION_NOT_FOUND})

Compose = Callable[[], Awaitable[str]]

_log = structlog.get_logger(__name__)


class Execution:
    """Every step can be done again: the next leader goes on where this one ended."""

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
        self._session_id: UUID | None = None
        self._commands = jobs.commands(term, attempt)
        self._dispatcher = CommandDispatcher(self._commands, term.office_id, pool.gate)

    async def run(self, compose: Compose, nonce: str | None) -> Verdict:
        """`compose` is asked for the prompt when there is a session for it; `nonce` as in `judge`.

        Raises TermEnded, and CommandError(SUPERSEDED, FORBIDDEN) when another server leads.
        """
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

    async def _ready_session(self) -> UUID:
        """The pool's choice, unless the job is cancelled before there is one."""
        return await first_of(
            self._pool.acquire_session(self._term, self._job, self._attempt, self._job.profile),
            self._raise_when_cancelled(),
        )

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
            await first_of(self._term.pause(SATURATED_S), self._raise_when_cancelled())

    async def _dispatch_prompt(self, session_id: UUID, prompt: str) -> Outcome:
        return await self._dispatcher.dispatch_send_prompt(
            session_id,
            prompt,
            turn_limit_ms=self._job.turn_limit_ms or TURN_LIMIT_MS,
            job_profile=self._job.profile,
            command_id=prompt_id_of(self._attempt),
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

    # A limit, a cancellation

    async def _after_limit(self, verdict: Verdict) -> Verdict:
        """A turn that took too long may still be at work: it is tried again only after its process is gone."""
        gone = self._session_id is not None and await self._end_session(self._session_id)
        reason = verdict.reason if gone else f"{verdict.reason or 'It took too long.'} Its session could not be ended."
        return verdict.model_copy(update={"may_still_run": not gone, "reason": reason})

    async def _interrupt_when_cancelled(self, session_id: UUID) -> Never:
        """Again and again: the first one may come before the prompt is typed, and then stops nothing.

        What does not come back is ended with its session.
        """
        await self._cancelled.wait()
        interrupts = 0
        while True:
            if await self._prompt_has_begun():
                interrupts += 1
                await (self._interrupt(session_id) if interrupts <= INTERRUPTS else self._end_session(session_id))
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

    async def _raise_when_cancelled(self) -> Never:
        await self._cancelled.wait()
        raise CommandError(ErrorCode.CANCELLED)
