"""Typed text, answers and the key that stops a turn: what goes to a program as it is, beside the prompts."""

from dataclasses import replace
from typing import Final

from semo_agent.composing import Composing
from semo_agent.errors import Stopping
from semo_agent.evidence import Answered
from semo_agent.host import Host
from semo_agent.journal import Entry, Phase
from semo_agent.office import Claim, Verdict
from semo_agent.paste import encode_paste
from semo_agent.profiles.screen import ScreenRules
from semo_agent.session import Session
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import SendText, SessionStatus

SECOND_KEY_S: Final = 2.0


class Keystrokes:
    """Keys for the sessions of one host."""

    def __init__(self, host: Host, composing: Composing) -> None:
        self._host = host
        self._composing = composing

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
            verdict = await self._write(session, tab_id, claim, text)
            if session.profile.hooks is not None and (text.text.endswith("\r") if text.raw else text.enter):
                # Not every CLI tells that it goes on; one that asks again tells that.
                session.observe(Answered())
            return verdict

    async def cancel(self, session: Session) -> Verdict:
        """The key that stops a turn, until the prompt is back; at an idle one nothing is sent. Raises CommandError."""
        async with session.writing:
            self._require_terminal(session)
            if session.idle:
                return Verdict(result={"was_idle": True})
            await self._mark_cancelled(session)
        await self.interrupt(session)
        return Verdict(result={"was_idle": False})

    async def interrupt(self, session: Session) -> None:
        """The key that stops a turn, until the prompt is back. Raises CommandError when it goes on or has ended."""
        async with session.writing:
            tab_id = self._require_terminal(session)
            if session.idle:
                return
            back = _BackAtPrompt(session)
            await self._host.terminal.press(tab_id, session.profile.typing.interrupt_key)
        if session.profile.screen is None:
            await self._see_prompt(session, back)
        else:
            await self._see_composer(session, session.profile.screen)
        if session.sighting.over:
            raise CommandError(ErrorCode.SESSION_EXITED)

    async def _mark_cancelled(self, session: Session) -> None:
        if session.turn is not None and session.turn_runs:
            await self._host.keep_turn(session, replace(session.turn, cancelled=True))

    async def _see_prompt(self, session: Session, back: "_BackAtPrompt") -> None:
        first, left = _patience(session)
        try:
            await session.until(back, first)
        except TimeoutError:
            await self._press_again(session)
            try:
                await session.until(back, left)
            except TimeoutError as err:
                raise _goes_on(session) from err

    async def _see_composer(self, session: Session, rules: ScreenRules) -> None:
        first, left = _patience(session)
        if await self._composing.see_interrupted(session, rules, first):
            return
        await self._press_again(session)
        if not await self._composing.see_interrupted(session, rules, left):
            raise _goes_on(session)

    async def _press_again(self, session: Session) -> None:
        async with session.writing:
            tab_id = self._require_terminal(session)
            await self._host.terminal.press(tab_id, session.profile.typing.interrupt_key)

    async def _write(self, session: Session, tab_id: str, claim: Claim, text: SendText) -> Verdict:
        data = text.text.encode("utf-8", "replace") if text.raw else encode_paste(text.text, bracketed=False)
        if text.enter and not text.raw:
            data += b"\r"
        await self._host.office.confirm(claim)
        entry = Entry(claim.command_id, session.id, Phase.TYPING)
        await self._host.journal.begin(entry)
        await self._host.terminal.write(tab_id, data)
        await self._host.journal.advance(replace(entry, phase=Phase.WRITTEN))
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


def _patience(session: Session) -> tuple[float, float]:
    """How long until the key is pressed once more, and how long after that, s."""
    limit = session.profile.limits.cancel_timeout_ms / 1000
    first = min(SECOND_KEY_S, limit)
    return first, limit - first


def _goes_on(session: Session) -> CommandError:
    limit, key = session.profile.limits.cancel_timeout_ms / 1000, session.profile.typing.interrupt_key.title()
    return CommandError(
        ErrorCode.TIMEOUT, f"The program went on for {limit:g} s after {key}. `semo terminate` ends it."
    )


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
