"""Carries out what was claimed: one task a command, each with exactly one result.

The order inside a session comes from its lane (a prompt holds it until it is accepted); urgent commands pass it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

import structlog
from pydantic import ValidationError

from semo_agent.composing import Composing
from semo_agent.errors import AlreadyTyped, ClaimLost, Stopping, TabNotFound, TerminalDied, TerminalError
from semo_agent.host import Host
from semo_agent.keystrokes import Keystrokes
from semo_agent.lifecycle import Lifecycle
from semo_agent.office import Claim, Verdict
from semo_agent.output import last_rows
from semo_agent.prompts import Prompts
from semo_agent.session import Session, Turn
from semo_agent.stopping import Tasks
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import (
    AgentCommand,
    CommandType,
    CreateSession,
    GetOutput,
    Payload,
    SendPrompt,
    SendText,
    SessionReport,
    SessionStatus,
    Terminate,
)

PayloadT = TypeVar("PayloadT", bound=Payload)
Handler = Callable[[AgentCommand], Awaitable[Verdict]]

CLAIMS_KNOWN: Final = 1000
"""Claims that are known when they come again: an answer may be read long after what it says has been done."""

NO_TERMINAL: Final = "The session has no terminal on this host."

_log = structlog.get_logger(__name__)


class Worker:
    """The commands of one host."""

    def __init__(self, host: Host, tasks: Tasks) -> None:
        self._composing = Composing(host)
        self.lifecycle = Lifecycle(host, self._composing)
        self._host = host
        self._tasks = tasks
        self._keystrokes = Keystrokes(host, self._composing)
        self._prompts = Prompts(host, self._keystrokes, self._composing)
        self._claims: deque[UUID] = deque(maxlen=CLAIMS_KNOWN)
        self._in_hand: dict[UUID, _Hand] = {}
        self._handlers: Mapping[CommandType, Handler] = {
            CommandType.CREATE_SESSION: self.create_session,
            CommandType.SEND_TEXT: self._send_text,
            CommandType.GET_OUTPUT: self._get_output,
            CommandType.CANCEL: self._cancel,
            CommandType.TERMINATE: self._terminate,
        }

    def take(self, command: AgentCommand, remaining_ms: int | None = None) -> None:
        """Begin a claimed command. remaining_ms: how long it may still wait to begin, None: for ever.

        The same claim a second time, after a lost answer, is the one in hand already, or over. Another claim on a
        command in hand, given back while this process was out of reach, waits for the first to end and takes up what
        it left.
        """
        claim = _claim_of(command)
        if claim.token in self._claims:
            return
        self._claims.append(claim.token)
        begin_by = None if remaining_ms is None else self._host.clock() + remaining_ms / 1000
        work = self._carry_out(command, claim, begin_by)
        self._tasks.start(f"{command.command_type} {command.id}", self._in_turn(command.session_id, claim, work))

    async def adopt_turn(self, session: Session, turn: Turn) -> None:
        """Follow a turn that an earlier process began. Raises ClaimLost when the office has ended it meanwhile.

        Returns once the office knows that it was typed: from then on it is not given back to be typed again.
        """
        session.change_turn(turn)
        await self._prompts.report_typed(turn)
        self._claims.append(turn.claim.token)
        work = self._prompts.go_on(session, turn)
        self._tasks.start(f"send_prompt {turn.claim.command_id}", self._in_turn(session.id, turn.claim, work))

    async def conclude(self, session_id: UUID, claim: Claim, work: Awaitable[Verdict]) -> None:
        """Tell how a command ended that an earlier process began."""
        await self._bring_to_result(session_id, claim, work)

    def clear_composer(self, session: Session) -> None:
        """Discard what an earlier process may have typed by half."""
        self._tasks.start(f"clear {session.id}", self._clear_composer(session))

    def look_after(self, session: Session) -> None:
        """Report and keep what happens in a session until its end."""
        self._tasks.start(f"watch {session.id}", self.lifecycle.watch(session))
        self._tasks.start(f"keep {session.id}", self.lifecycle.keep(session))

    async def _in_turn(self, session_id: UUID, claim: Claim, work: Coroutine[object, object, Verdict]) -> None:
        """One claim on a command after the other."""
        hand = self._in_hand.setdefault(claim.command_id, _Hand())
        hand.claims += 1
        try:
            async with hand.lock:
                await self._bring_to_result(session_id, claim, work)
        finally:
            # Where the lock was never got, the work was never begun.
            work.close()
            hand.claims -= 1
            if not hand.claims:
                del self._in_hand[claim.command_id]

    async def _carry_out(self, command: AgentCommand, claim: Claim, begin_by: float | None) -> Verdict:
        if command.command_type is CommandType.SEND_PROMPT:
            prompt = _payload(SendPrompt, command)
            return await self._prompts.send(self._living(command), claim, prompt, begin_by=begin_by)
        # It may have been done by another process, and a Ctrl-C that comes late would stop another turn.
        await self._host.office.confirm(claim)
        return await self._handlers.get(command.command_type, _unknown)(command)

    async def _clear_composer(self, session: Session) -> None:
        try:
            await self._composing.clear(session)
        except (TerminalError, Stopping) as err:
            _log.warning("composer_not_cleared", session_id=str(session.id), error=type(err).__name__)

    async def _bring_to_result(self, session_id: UUID, claim: Claim, work: Awaitable[Verdict]) -> None:
        command_id = str(claim.command_id)
        try:
            verdict = await _verdict_of(work)
            await self._complete(session_id, claim, verdict)
            _log.info("completed", command_id=command_id, error=verdict.error)
        except ClaimLost as err:
            _log.warning("claim_lost", command_id=command_id, why=str(err))
            await self._let_go(session_id, claim)
        except Stopping:
            _log.info("left_for_the_next_start", command_id=command_id)

    async def _complete(self, session_id: UUID, claim: Claim, verdict: Verdict) -> None:
        session = self._host.sessions.find(session_id)
        if session is None:
            await self._host.office.complete(claim, verdict)
        else:
            async with session.reporting:
                news = session.news(closing_turn=_is_ours(session, claim))
                # With a result that comes late the state is not taken: it is told by itself then.
                if await self._complete_with(claim, verdict, news) and news is not None:
                    session.reported(news)
            await self._let_go(session_id, claim)
        self._host.journal.forget(claim.command_id)

    async def _complete_with(self, claim: Claim, verdict: Verdict, news: SessionReport | None) -> bool:
        """Whether the state was taken with the result. Raises ClaimLost."""
        try:
            return await self._host.office.complete(claim, verdict, news)
        except ClaimLost:
            if news is None:
                raise
            # Perhaps only the state was refused, of a session that somebody has ended: the result counts all the same.
            await self._host.office.complete(claim, verdict)
            return False

    async def _let_go(self, session_id: UUID, claim: Claim) -> None:
        session = self._host.sessions.find(session_id)
        if session is not None and _is_ours(session, claim):
            session.change_turn(None)
            await self._host.keep(session)

    async def create_session(self, command: AgentCommand) -> Verdict:
        """Start a program, or go on with one that an earlier process started. Raises CommandError."""
        wanted = _payload(CreateSession, command)
        known = self._host.sessions.find(command.session_id)
        session = known or await self.lifecycle.prepare(command, wanted)
        if known is None:
            self.look_after(session)
        return await self.lifecycle.begin(session, wanted)

    async def _send_text(self, command: AgentCommand) -> Verdict:
        return await self._keystrokes.send_text(self._living(command), _claim_of(command), _payload(SendText, command))

    async def _get_output(self, command: AgentCommand) -> Verdict:
        tab_id = self._living(command).tab_id
        if tab_id is None:
            raise CommandError(ErrorCode.NOT_READY, NO_TERMINAL)
        return Verdict(result=await last_rows(self._host.terminal, tab_id, _payload(GetOutput, command)))

    async def _cancel(self, command: AgentCommand) -> Verdict:
        return await self._keystrokes.cancel(self._living(command))

    async def _terminate(self, command: AgentCommand) -> Verdict:
        wanted = _payload(Terminate, command)
        session = self._host.sessions.find(command.session_id)
        if session is not None:
            return await self.lifecycle.terminate(session, wanted)
        ended = SessionReport(status=SessionStatus.TERMINATED, status_source="request", reason="ended by an operator")
        await self._host.office.report_session(command.session_id, ended)
        # A create_session of the same moment may have looked before; one that looks from now on starts nothing.
        if (session := self._host.sessions.find(command.session_id)) is not None:
            return await self.lifecycle.terminate(session, wanted)
        return Verdict(result={"was_running": False})

    def _living(self, command: AgentCommand) -> Session:
        session = self._host.sessions.find(command.session_id)
        if session is None:
            raise CommandError(ErrorCode.SESSION_EXITED, NO_TERMINAL)
        return session


@dataclass(slots=True)
class _Hand:
    """The claims on one command that this process holds; they are carried out one after the other."""

    claims: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def _verdict_of(work: Awaitable[Verdict]) -> Verdict:
    """The one place where what went wrong becomes an error code."""
    try:
        return await work
    except CommandError as err:
        return Verdict.failed(err)
    except TabNotFound as err:
        return Verdict(error=ErrorCode.SESSION_EXITED, message=str(err))
    except TerminalDied as err:
        return Verdict(error=ErrorCode.SESSION_EXITED, message=f"The session ended: {err}")
    except AlreadyTyped as err:
        return Verdict(error=ErrorCode.INDETERMINATE, message=str(err))
    except TerminalError as err:
        return Verdict(error=ErrorCode.TERMINAL_UNAVAILABLE, message=str(err))


async def _unknown(command: AgentCommand) -> Verdict:
    raise CommandError(ErrorCode.INVALID_PAYLOAD, f"This agent does not know the command {command.command_type}.")


def _payload(model: type[PayloadT], command: AgentCommand) -> PayloadT:
    try:
        return model.model_validate(command.payload)
    except ValidationError as err:
        fault = err.errors(include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise CommandError(ErrorCode.INVALID_PAYLOAD, f"The payload is wrong at {where}: {fault['msg']}.") from err


def _claim_of(command: AgentCommand) -> Claim:
    if command.claim_token is None:
        raise ClaimLost(f"The command {command.id} came without a claim.")
    return Claim(command.id, command.claim_token)


def _is_ours(session: Session, claim: Claim) -> bool:
    return session.turn is not None and session.turn.claim == claim
