"""A prompt: typed when nothing stands in its way, proved to be accepted, and followed to the end of its turn."""

import contextlib
from dataclasses import replace
from typing import Final

import structlog
from pydantic import JsonValue

from semo_agent.composer import cursor_of
from semo_agent.composing import Composing, tab_of
from semo_agent.detector import TurnFacts
from semo_agent.errors import Stopping, TabNotFound, TerminalDied
from semo_agent.host import Host
from semo_agent.journal import Entry, Phase
from semo_agent.keystrokes import Keystrokes
from semo_agent.office import Claim, Verdict
from semo_agent.output import Result, turn_output
from semo_agent.paste import clean, encode_paste
from semo_agent.session import Session, Turn
from semo_agent.terminals.base import Key, Position
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import SendPrompt, SessionStatus, Stage

ENDING_S: Final = 15.0
LAST_TURN_GOES_S: Final = 30.0

TOO_LATE: Final = "The session was not ready for it in time; nothing was typed."
UNKNOWN_ARRIVAL: Final = "The agent stopped while typing; it may have arrived, and is not typed again."

_log = structlog.get_logger(__name__)


class Prompts:
    """Prompts into the sessions of one host."""

    def __init__(self, host: Host, keystrokes: Keystrokes, composing: Composing) -> None:
        self._host = host
        self._keystrokes = keystrokes
        self._composing = composing

    async def send(
        self, session: Session, claim: Claim, prompt: SendPrompt, *, begin_by: float | None = None
    ) -> Verdict:
        """Type a prompt and follow its turn. begin_by: s of the host's clock; nothing is typed later.

        A prompt that the journal knows was given back and claimed again meanwhile: its turn is followed, it is not
        typed again. Raises CommandError when nothing was typed or it was not accepted.
        """
        self._host.failpoints.reach("after_claim")
        if (typed := await self._host.journal.find(claim.command_id)) is not None:
            return await self._take_up(session, claim, typed)
        async with session.lane:
            await self._let_become_ready(session, begin_by)
            turn = await self._type(session, claim, prompt, begin_by)
            self._host.failpoints.reach("after_enter")
            await self.report_typed(turn)
            await self._see_accepted(session, turn)
        return await self._see_ended(session, turn)

    async def go_on(self, session: Session, turn: Turn) -> Verdict:
        """Follow a turn that was typed before. Raises CommandError."""
        try:
            async with session.lane:
                await self._see_accepted(session, turn)
        except CommandError as err:
            if err.code is not ErrorCode.TIMEOUT:
                raise
            # Its Enter was never sent, it seems: then the text still stands in the way of the next one.
            session.change_turn(None)
            await self._composing.clear(session)
            raise CommandError(ErrorCode.INDETERMINATE, UNKNOWN_ARRIVAL) from err
        return await self._see_ended(session, turn)

    async def report_typed(self, turn: Turn) -> None:
        """The prompt is in the terminal, or may be. Raises ClaimLost."""
        evidence: dict[str, JsonValue] = {"bytes": turn.text_bytes, "bracketed": turn.bracketed}
        await self._host.office.report_stage(turn.claim, Stage.TYPED, evidence)

    async def _take_up(self, session: Session, claim: Claim, typed: Entry) -> Verdict:
        if typed.phase is not Phase.ENTERED or typed.turn is None:
            raise CommandError(ErrorCode.INDETERMINATE, UNKNOWN_ARRIVAL)
        turn = replace(typed.turn, claim=claim)
        session.change_turn(turn)
        await self.report_typed(turn)
        return await self.go_on(session, turn)

    async def _let_become_ready(self, session: Session, begin_by: float | None) -> None:
        """The office may hand out a prompt before it knows that the turn before ended, or that one was begun by hand.

        What has a limit to begin within may use it all.
        """
        patience = LAST_TURN_GOES_S if begin_by is None else max(begin_by - self._host.clock(), 0.0)
        try:
            await session.until(lambda: not _is_busy(session), patience)
        except TimeoutError as err:
            code = ErrorCode.NOT_READY if begin_by is None else ErrorCode.TIMEOUT
            raise CommandError(code, TOO_LATE) from err

    async def _type(self, session: Session, claim: Claim, prompt: SendPrompt, begin_by: float | None) -> Turn:
        async with session.writing:
            await self._host.office.confirm(claim)
            # A turn that somebody began by hand a moment ago is known before ours is numbered.
            await self._host.read_hooks(session)
            _require_readiness(self._host, session)
            await self._composing.require_empty(session)
            await self._composing.await_paste_mode(session)
            if begin_by is not None and self._host.clock() > begin_by:
                raise CommandError(ErrorCode.TIMEOUT, TOO_LATE)
            turn = await self._begin(session, claim, prompt)
            self._host.failpoints.reach("after_journal")
            await self._paste(session, prompt.prompt)
            self._host.failpoints.reach("after_paste")
            await self._host.sleep(session.profile.typing.enter_gap_ms / 1000)
            # Before the Enter: whoever finds this after a crash looks whether the program took it, and whoever does
            # not find it knows that nothing was entered.
            echo_ends = await self._row_below_cursor(session)
            turn = replace(turn, entered=True, echo_ends=echo_ends, entered_at=self._host.clock())
            await self._host.keep_turn(session, turn)
            await self._host.terminal.press(tab_of(session), Key.ENTER)
            return turn

    async def _begin(self, session: Session, claim: Claim, prompt: SendPrompt) -> Turn:
        """The turn is on disk before its first byte is typed: after a crash it is not typed again."""
        screen = await self._host.terminal.screen(tab_of(session))
        turn = Turn(
            claim=claim,
            number=session.sighting.begun + 1,
            text_bytes=len(clean(prompt.prompt).encode("utf-8", "replace")),
            bracketed=screen.bracketed_paste,
            limit_ms=prompt.turn_limit_ms,
        )
        _log.info("typing", session_id=str(session.id), command_id=str(claim.command_id), bytes=turn.text_bytes)
        await self._host.journal.begin(Entry(claim.command_id, session.id, Phase.TYPING, turn))
        session.change_turn(turn)
        return turn

    async def _paste(self, session: Session, text: str) -> None:
        if not self._host.failpoints.is_armed("mid_paste"):
            await self._host.terminal.paste(tab_of(session), text)
            return
        bracketed = (await self._host.terminal.screen(tab_of(session))).bracketed_paste
        data = encode_paste(text, bracketed)
        await self._host.terminal.write(tab_of(session), data[: len(data) // 2])
        self._host.failpoints.reach("mid_paste")
        await self._host.terminal.write(tab_of(session), data[len(data) // 2 :])

    async def _row_below_cursor(self, session: Session) -> Position:
        cursor = cursor_of(await self._host.terminal.screen(tab_of(session)))
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
        evidence = _evidence_of(session, facts)
        async with session.reporting:
            await self._host.office.report_stage(turn.claim, Stage.ACCEPTED, evidence)
            session.reported_executing()

    async def _why_not_accepted(self, session: Session) -> str:
        seconds = session.profile.typing.accept_timeout_ms / 1000
        if await self._composing.is_empty(session):
            return f"The program did not say within {seconds:g} s that it took the text."
        return f"The program did not take the text within {seconds:g} s; it still stands in the terminal."

    async def _press_enter_again(self, session: Session) -> None:
        async with session.writing:
            if not self._host.stop:
                await self._host.terminal.press(tab_of(session), Key.ENTER)

    async def _see_ended(self, session: Session, turn: Turn) -> Verdict:
        self._host.failpoints.reach("during_turn")
        try:
            await session.until(lambda: _has_ended(session, turn), self._left(turn))
        except TimeoutError:
            return await self._stop_overlong(session, turn)
        await self._see_ending(session)
        self._host.failpoints.reach("after_turn")
        return await self._verdict(session, turn)

    def _left(self, turn: Turn) -> float | None:
        """What is left of the turn's limit, s. The clock stands still while the machine sleeps."""
        if turn.limit_ms is None:
            return None
        return max(turn.entered_at + turn.limit_ms / 1000 - self._host.clock(), 0.0)

    async def _stop_overlong(self, session: Session, turn: Turn) -> Verdict:
        seconds = f"{(turn.limit_ms or 0) / 1000:g} s"
        try:
            await self._keystrokes.interrupt(session)
            sentence = f"The turn ran longer than its limit of {seconds} and was stopped."
        except CommandError:
            if session.sighting.over:
                return await self._verdict(session, turn)
            sentence = f"The turn ran longer than its limit of {seconds} and went on after Ctrl-C."
        facts = session.sighting.finished_turn(turn.number) or session.sighting.turn
        return Verdict(result=await self._result(session, turn, facts), error=ErrorCode.TIMEOUT, message=sentence)

    async def _verdict(self, session: Session, turn: Turn) -> Verdict:
        facts = session.sighting.finished_turn(turn.number)
        if facts is None and not session.sighting.over:
            raise CommandError(ErrorCode.INDETERMINATE, "It was typed and has ended; how is not known any more.")
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
        duration = (facts.ended or self._host.clock()) - facts.began
        output = session.parting_output or await self._output(session, turn, facts)
        told = {"exit_status": facts.exit_status} if session.profile.hooks is None else _words_of(facts)
        return {**output, **told, "duration_ms": round(duration * 1000)}

    async def _output(self, session: Session, turn: Turn, facts: TurnFacts) -> Result:
        try:
            return await turn_output(self._host.terminal, tab_of(session), turn, facts)
        except (TabNotFound, TerminalDied):
            # What the turn printed went with its terminal; that it ended is still to be told.
            return {}


def _evidence_of(session: Session, facts: TurnFacts | None) -> Result:
    """What says that a prompt was accepted."""
    if session.profile.hooks is not None:
        return {"source": "hooks", "event": facts.from_mark if facts else None}
    if facts is not None and facts.from_mark == "D":
        return {"source": "osc133", "mark": "D", "without": "C"}
    return {"source": "osc133", "mark": "C"}


def _words_of(facts: TurnFacts) -> Result:
    """What the CLI itself said at the end of a turn."""
    words: Result = {"last_message": facts.message or ""}
    if facts.failure is not None:
        words["failure"] = {"kind": facts.failure.kind, "message": facts.failure.message}
    return words


def _require_readiness(host: Host, session: Session) -> None:
    if host.stop:
        raise Stopping("The agent stops; nothing more is typed.")
    if session.sighting.over:
        raise CommandError(ErrorCode.SESSION_EXITED)
    if session.sighting.asks:
        raise CommandError(ErrorCode.SESSION_BLOCKED)
    if session.sighting.status is not SessionStatus.READY or session.turn is not None:
        raise CommandError(ErrorCode.NOT_READY)


def _is_busy(session: Session) -> bool:
    """With something that ends by itself; a question does not."""
    sighting = session.sighting
    return not (sighting.over or sighting.asks or (sighting.status is SessionStatus.READY and session.turn is None))


def _accepted(session: Session, turn: Turn) -> bool:
    return session.sighting.begun >= turn.number or session.sighting.over


def _has_ended(session: Session, turn: Turn) -> bool:
    return session.sighting.ended >= turn.number or session.sighting.over
