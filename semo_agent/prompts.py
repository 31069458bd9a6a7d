"""A prompt: typed when nothing stands in its way, proved to be accepted, and followed to the end of its turn."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog
from pydantic import JsonValue

from semo_agent.composer import cursor_of, find_composer
from semo_agent.detector import TurnFacts
from semo_agent.errors import Stopping
from semo_agent.host import Host
from semo_agent.office import Claim, Verdict
from semo_agent.output import turn_output
from semo_agent.paste import clean
from semo_agent.session import Session, Turn
from semo_agent.terminals.base import Key, Position
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import SendPrompt, SessionStatus, Stage

SETTLING_S: Final = 0.1
PASTE_MODE_S: Final = 0.5
ENDING_S: Final = 15.0
LAST_TURN_GOES_S: Final = 30.0

_log = structlog.get_logger(__name__)


class Prompts:
    """Prompts into the sessions of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def send(self, session: Session, claim: Claim, prompt: SendPrompt) -> Verdict:
        """Type a prompt and follow its turn. Raises CommandError when nothing was typed or it was not accepted."""
        async with session.lane:
            await self._let_last_turn_go(session)
            turn = await self._type(session, claim, prompt.prompt)
            await self.report_typed(turn)
            await self._see_accepted(session, turn)
        return await self._see_ended(session, turn)

    async def go_on(self, session: Session, turn: Turn) -> Verdict:
        """Follow a turn that an earlier process of the agent began. Raises CommandError."""
        if not turn.entered:
            raise CommandError(
                ErrorCode.INDETERMINATE, "The agent stopped while typing; it may have arrived, and is not typed again."
            )
        async with session.lane:
            await self._see_accepted(session, turn)
        return await self._see_ended(session, turn)

    async def report_typed(self, turn: Turn) -> None:
        """The prompt is in the terminal, or may be. Raises ClaimLost."""
        evidence: dict[str, JsonValue] = {"bytes": turn.text_bytes, "bracketed": turn.bracketed}
        await self._host.office.report_stage(turn.claim, Stage.TYPED, evidence)

    async def _let_last_turn_go(self, session: Session) -> None:
        """The office may hand out this prompt before it has answered that it knows the end of the turn before."""
        try:
            await session.until(lambda: session.turn is None or session.turn_runs, LAST_TURN_GOES_S)
        except TimeoutError as err:
            raise CommandError(ErrorCode.NOT_READY, "The turn before has not been reported yet.") from err

    async def _type(self, session: Session, claim: Claim, text: str) -> Turn:
        async with session.writing:
            _require_readiness(self._host, session)
            await self._require_empty_composer(session)
            await self._await_paste_mode(session)
            turn = await self._begin(session, claim, text)
            await self._host.terminal.paste(_tab(session), text)
            await self._host.sleep(session.profile.typing.enter_gap_ms / 1000)
            echo_ends = await self._row_below_cursor(session)
            await self._host.terminal.press(_tab(session), Key.ENTER)
            return await self._change(session, replace(turn, entered=True, echo_ends=echo_ends))

    async def _begin(self, session: Session, claim: Claim, text: str) -> Turn:
        """The turn is on disk before its first byte is typed: after a crash it is not typed again."""
        screen = await self._host.terminal.screen(_tab(session))
        number = session.sighting.begun + 1
        size = len(clean(text).encode("utf-8", "replace"))
        turn = Turn(claim=claim, number=number, text_bytes=size, bracketed=screen.bracketed_paste)
        _log.info("typing", session_id=str(session.id), command_id=str(claim.command_id), bytes=size)
        return await self._change(session, turn)

    async def _change(self, session: Session, turn: Turn) -> Turn:
        # Nothing is awaited in between: a cancel may set its mark at any other moment.
        turn = replace(turn, cancelled=session.turn is not None and session.turn.cancelled)
        session.change_turn(turn)
        await self._host.keep(session)
        return turn

    async def _require_empty_composer(self, session: Session) -> None:
        """Right after a prompt appeared the screen may still be drawn: it gets a moment to settle."""
        if not await self._comes_true(session, self._composer_is_empty, SETTLING_S):
            raise CommandError(ErrorCode.DRAFT_PRESENT)

    async def _await_paste_mode(self, session: Session) -> None:
        """zsh draws its prompt first and asks for bracketed paste then; text that came in between would be keys.

        A program that never asks for it gets the text as it is, a moment later.
        """
        if session.profile.typing.bracketed_paste:
            await self._comes_true(session, self._asks_for_bracketed_paste, PASTE_MODE_S)

    async def _comes_true(self, session: Session, holds: Callable[[Session], Awaitable[bool]], seconds: float) -> bool:
        """Whether it holds now or after one of the next events."""
        deadline = self._host.clock() + seconds
        while not await holds(session):
            left = deadline - self._host.clock()
            if left <= 0:
                return False
            await session.next_event(left)
        return True

    async def _asks_for_bracketed_paste(self, session: Session) -> bool:
        return (await self._host.terminal.screen(_tab(session))).bracketed_paste

    async def _composer_is_empty(self, session: Session) -> bool:
        composer = find_composer(await self._host.terminal.marks(_tab(session)), session.mark_id)
        return composer is not None and composer.is_empty(await self._host.terminal.screen(_tab(session)))

    async def _row_below_cursor(self, session: Session) -> Position:
        cursor = cursor_of(await self._host.terminal.screen(_tab(session)))
        return Position(cursor.epoch, cursor.line + 1)

    async def _see_accepted(self, session: Session, turn: Turn) -> None:
        """Wait for the positive sign. While the session asks something, a person's answer takes as long as it takes."""
        retries = 1 if session.profile.typing.retry_enter else 0
        while not _accepted(session, turn):
            try:
                await session.until(
                    lambda: _accepted(session, turn) or session.sighting.asks,
                    session.profile.typing.accept_timeout_ms / 1000,
                )
            except TimeoutError as err:
                if retries == 0:
                    raise CommandError(ErrorCode.TIMEOUT, await self._why_not_accepted(session)) from err
                retries -= 1
                await self._press_enter_again(session)
            await session.until(lambda: _accepted(session, turn) or not session.sighting.asks)
        if session.sighting.begun >= turn.number:
            await self._report_accepted(session, turn)

    async def _report_accepted(self, session: Session, turn: Turn) -> None:
        facts = session.sighting.finished_turn(turn.number) or session.sighting.turn
        without_start = facts is not None and facts.from_mark == "D"
        evidence: dict[str, JsonValue] = {"source": "osc133", "mark": "C"}
        if without_start:
            evidence = {"source": "osc133", "mark": "D", "without": "C"}
        async with session.reporting:
            await self._host.office.report_stage(turn.claim, Stage.ACCEPTED, evidence)
            session.reported_executing()

    async def _why_not_accepted(self, session: Session) -> str:
        seconds = session.profile.typing.accept_timeout_ms / 1000
        if await self._composer_is_empty(session):
            return f"The program did not say within {seconds:g} s that it took the text."
        return f"The program did not take the text within {seconds:g} s; it still stands in the terminal."

    async def _press_enter_again(self, session: Session) -> None:
        async with session.writing:
            if not self._host.stop:
                await self._host.terminal.press(_tab(session), Key.ENTER)

    async def _see_ended(self, session: Session, turn: Turn) -> Verdict:
        await session.until(lambda: session.sighting.finished_turn(turn.number) is not None or session.sighting.over)
        await self._see_ending(session)
        facts = session.sighting.finished_turn(turn.number)
        latest = session.turn or turn
        result = await self._result(session, latest, facts)
        if latest.cancelled:
            return Verdict(result=result, error=ErrorCode.CANCELLED, message="It was cancelled.")
        if facts is None or facts.cut_short or session.ending:
            reason = session.sighting.reason or "the program ended"
            return Verdict(result=result, error=ErrorCode.SESSION_EXITED, message=f"The session ended: {reason}.")
        return Verdict(result=result)

    async def _see_ending(self, session: Session) -> None:
        """A shell that is being ended may lose its command first and show one more prompt: that is no end of a turn."""
        if session.ending:
            with contextlib.suppress(TimeoutError):
                await session.until(lambda: session.sighting.over, ENDING_S)

    async def _result(self, session: Session, turn: Turn, facts: TurnFacts | None) -> dict[str, JsonValue]:
        if facts is None:
            return {"exit_status": (session.sighting.exit.code if session.sighting.exit else None)}
        output = session.parting_output or await turn_output(self._host.terminal, _tab(session), turn, facts)
        duration = (facts.ended or facts.began) - facts.began
        return {**output, "exit_status": facts.exit_status, "duration_ms": round(duration * 1000)}


def _require_readiness(host: Host, session: Session) -> None:
    if host.stop:
        raise Stopping("The agent stops; nothing more is typed.")
    if session.sighting.over:
        raise CommandError(ErrorCode.SESSION_EXITED)
    if session.sighting.asks:
        raise CommandError(ErrorCode.SESSION_BLOCKED)
    if session.sighting.status is not SessionStatus.READY or session.turn is not None:
        raise CommandError(ErrorCode.NOT_READY)


def _accepted(session: Session, turn: Turn) -> bool:
    return session.sighting.begun >= turn.number or session.sighting.over


def _tab(session: Session) -> str:
    if session.tab_id is None:
        raise CommandError(ErrorCode.NOT_READY, "The session has no terminal yet.")
    return session.tab_id
