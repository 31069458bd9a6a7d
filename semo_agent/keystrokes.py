"""Typed text, answers and Ctrl-C: what goes to a program as it is, beside the prompts."""

from dataclasses import replace
from typing import Final

from semo_agent.errors import Stopping
from semo_agent.host import Host
from semo_agent.journal import Entry, Phase
from semo_agent.office import Claim, Verdict
from semo_agent.paste import encode_paste
from semo_agent.session import Session
from semo_agent.stopping import Tasks
from semo_agent.terminals.base import Key
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import SendText, SessionStatus

SECOND_CTRL_C_S: Final = 2.0


class Keystrokes:
    """Keys for the sessions of one host."""

    def __init__(self, host: Host, tasks: Tasks) -> None:
        self._host = host
        self._tasks = tasks

    async def send_text(self, session: Session, claim: Claim, text: SendText) -> Verdict:
        """Type a text; done when the program's terminal has it.

        A text that the journal knows was claimed before: it is not typed again. Raises CommandError.
        """
        if (typed := await self._host.journal.find(claim.command_id)) is not None:
            return verdict_on_text(typed)
        if text.answer:
            return await self._answer(session, claim, text)
        async with session.lane, session.writing:
            tab_id = self._require_terminal(session)
            if session.sighting.asks:
                raise CommandError(ErrorCode.SESSION_BLOCKED)
            return await self._write(session, tab_id, claim, text)

    async def _answer(self, session: Session, claim: Claim, text: SendText) -> Verdict:
        async with session.writing:
            tab_id = self._require_terminal(session)
            if session.sighting.status not in (SessionStatus.WAITING_INPUT, SessionStatus.EXECUTING):
                raise CommandError(ErrorCode.NOT_READY, "The session asks nothing; send a prompt instead.")
            return await self._write(session, tab_id, claim, text)

    async def cancel(self, session: Session) -> Verdict:
        """Ctrl-C until the prompt is back. At an idle prompt nothing is sent. Raises CommandError."""
        async with session.writing:
            self._require_terminal(session)
            if session.idle:
                return Verdict(result={"was_idle": True})
            await self._mark_cancelled(session)
        await self.interrupt(session)
        return Verdict(result={"was_idle": False})

    async def interrupt(self, session: Session) -> None:
        """Ctrl-C until the prompt is back. Raises CommandError when the program goes on or has ended."""
        async with session.writing:
            tab_id = self._require_terminal(session)
            if session.idle:
                return
            back = _BackAtPrompt(session)
            await self._host.terminal.press(tab_id, Key.CTRL_C)
        await self._see_prompt(session, tab_id, back)

    async def _mark_cancelled(self, session: Session) -> None:
        if session.turn is not None and session.turn_runs:
            await self._host.keep_turn(session, replace(session.turn, cancelled=True))

    async def _see_prompt(self, session: Session, tab_id: str, back: "_BackAtPrompt") -> None:
        limit = session.profile.limits.cancel_timeout_ms / 1000
        first = min(SECOND_CTRL_C_S, limit)
        try:
            await session.until(back, first)
        except TimeoutError:
            await self._press_again(session, tab_id, back, limit - first)
        if session.sighting.over:
            raise CommandError(ErrorCode.SESSION_EXITED)

    async def _press_again(self, session: Session, tab_id: str, back: "_BackAtPrompt", left: float) -> None:
        async with session.writing:
            self._require_terminal(session)
            await self._host.terminal.press(tab_id, Key.CTRL_C)
        try:
            await session.until(back, left)
        except TimeoutError as err:
            limit = session.profile.limits.cancel_timeout_ms / 1000
            sentence = f"The program went on for {limit:g} s after Ctrl-C. `semo terminate` ends it."
            raise CommandError(ErrorCode.TIMEOUT, sentence) from err

    async def _write(self, session: Session, tab_id: str, claim: Claim, text: SendText) -> Verdict:
        data = text.text.encode("utf-8", "replace") if text.raw else encode_paste(text.text, bracketed=False)
        if text.enter and not text.raw:
            data += b"\r"
        await self._host.office.confirm(claim)
        entry = Entry(claim.command_id, session.id, Phase.TYPING)
        await self._host.journal.begin(entry)
        await self._host.terminal.write(tab_id, data)
        # The result need not wait for the disk: once the office has it nobody asks the journal, and until then a crash
        # leaves the command indeterminate, as it does while this is written.
        written = self._host.journal.advance(replace(entry, phase=Phase.WRITTEN))
        self._tasks.start(f"written {claim.command_id}", written)
        return Verdict(result={"bytes": len(data)})

    def _require_terminal(self, session: Session) -> str:
        if self._host.stop:
            raise Stopping("The agent stops; nothing more is typed.")
        if session.sighting.over:
            raise CommandError(ErrorCode.SESSION_EXITED)
        if session.tab_id is None:
            raise CommandError(ErrorCode.NOT_READY, "The session has no terminal yet.")
        return session.tab_id


def verdict_on_text(typed: Entry) -> Verdict:
    """How a text ended that was typed before, as far as the journal knows. Raises CommandError."""
    if typed.phase is Phase.WRITTEN:
        return Verdict(result={})
    raise CommandError(ErrorCode.INDETERMINATE)


class _BackAtPrompt:
    """Whether the session came back to its prompt since this was made."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before = session.sighting

    def __call__(self) -> bool:
        seen = self._session.sighting
        if seen.over:
            return True
        # A prompt that is only drawn anew counts no turn and enters no new state.
        returned = seen.ended > self._before.ended or seen.since > self._before.since
        return returned and seen.status is SessionStatus.READY and seen.turn is None
