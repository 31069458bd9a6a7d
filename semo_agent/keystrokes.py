"""Typed text, answers and Ctrl-C: what goes to a program as it is, beside the prompts."""

from typing import Final

from semo_agent.errors import Stopping
from semo_agent.host import Host
from semo_agent.office import Verdict
from semo_agent.paste import encode_paste
from semo_agent.session import Session
from semo_agent.terminals.base import Key
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import SendText, SessionStatus

SECOND_CTRL_C_S: Final = 2.0


class Keystrokes:
    """Keys for the sessions of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def send_text(self, session: Session, text: SendText) -> Verdict:
        """Type a text; done when the program's terminal has it. Raises CommandError."""
        if text.answer:
            return await self._answer(session, text)
        async with session.lane, session.writing:
            tab_id = self._require_terminal(session)
            if session.sighting.asks:
                raise CommandError(ErrorCode.SESSION_BLOCKED)
            return await self._write(tab_id, text)

    async def _answer(self, session: Session, text: SendText) -> Verdict:
        async with session.writing:
            tab_id = self._require_terminal(session)
            if session.sighting.status not in (SessionStatus.WAITING_INPUT, SessionStatus.EXECUTING):
                raise CommandError(ErrorCode.NOT_READY, "The session asks nothing; send a prompt instead.")
            return await self._write(tab_id, text)

    async def cancel(self, session: Session) -> Verdict:
        """Ctrl-C until the prompt is back. At an idle prompt nothing is sent. Raises CommandError."""
        async with session.writing:
            tab_id = self._require_terminal(session)
            if session.idle:
                return Verdict(result={"was_idle": True})
            back = _BackAtPrompt(session)
            session.mark_cancelled()
            await self._host.terminal.press(tab_id, Key.CTRL_C)
        await self._see_prompt(session, tab_id, back)
        return Verdict(result={"was_idle": False})

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

    async def _write(self, tab_id: str, text: SendText) -> Verdict:
        data = text.text.encode("utf-8", "replace") if text.raw else encode_paste(text.text, bracketed=False)
        if text.enter and not text.raw:
            data += b"\r"
        await self._host.terminal.write(tab_id, data)
        return Verdict(result={"bytes": len(data)})

    def _require_terminal(self, session: Session) -> str:
        if self._host.stop:
            raise Stopping("The agent stops; nothing more is typed.")
        if session.sighting.over:
            raise CommandError(ErrorCode.SESSION_EXITED)
        if session.tab_id is None:
            raise CommandError(ErrorCode.NOT_READY, "The session has no terminal yet.")
        return session.tab_id


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
