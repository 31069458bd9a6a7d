"""The composers of sessions: whether they are empty, by marks or by what the screen shows, and emptying them."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from semo_agent.composer import cursor_of, find_composer
from semo_agent.errors import Stopping
from semo_agent.evidence import ComposerSeen, DialogSeen, Interrupted
from semo_agent.host import Host
from semo_agent.paste import END
from semo_agent.profiles.screen import ScreenRules
from semo_agent.session import Session
from semo_agent.terminals.base import Key, Screen
from semo_office.errors import CommandError, ErrorCode

SETTLING_S: Final = 0.1
REDRAWING_S: Final = 2.0
"""For a program that draws its composer anew after it told the end of a turn."""
PASTE_MODE_S: Final = 0.5
NEW_PROMPT_S: Final = 5.0
CLEARED_S: Final = 1.0
"""For a program to draw what was typed, or that it is gone."""
CLEAR_TRIES: Final = 3
LOOK_EVERY_S: Final = 0.5
"""While something is awaited that only the screen shows: what tells of its changes may be missed between two looks."""
STEADY_S: Final = 0.35
"""Between two looks at a screen that says that a turn was stopped."""

_log = structlog.get_logger(__name__)


class Composing:
    """Composers of the sessions of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def is_empty(self, session: Session) -> bool:
        """Whether nobody's text stands in it, by a positive sign."""
        screen = await self._screen(session)
        if (rules := session.profile.screen) is not None:
            return rules.shows_ready(screen)
        composer = find_composer(await self._host.terminal.marks(tab_of(session)), session.mark_id)
        return composer is not None and composer.is_empty(screen)

    async def require_empty(self, session: Session) -> None:
        """Right after a prompt appeared the screen may still be drawn: it gets a moment. Raises CommandError."""
        patience = SETTLING_S if session.profile.screen is None else REDRAWING_S
        if not await self._comes_true(session, self.is_empty, patience):
            raise CommandError(ErrorCode.DRAFT_PRESENT)

    async def await_paste_mode(self, session: Session) -> None:
        """zsh draws its prompt first and asks for bracketed paste then; text that came in between would be keys.

        A program that never asks for it gets the text as it is, a moment later.
        """
        if session.profile.typing.bracketed_paste:
            await self._comes_true(session, self._asks_for_bracketed_paste, PASTE_MODE_S)

    async def see_first(self, session: Session, rules: ScreenRules, limit: float) -> None:
        """Wait until the program has said that it is ready, and can be typed to, or has ended.

        limit: s; a question on the screen gets as long as a person takes to answer it. Raises TimeoutError.
        """
        deadline = self._host.clock() + limit
        while True:
            asked_at = self._host.clock()
            await self._look(session, rules)
            if session.sighting.composer is not None or session.sighting.over:
                return
            if self._host.clock() >= deadline:
                raise TimeoutError
            await session.next_event(LOOK_EVERY_S)
            if session.sighting.asks:
                deadline += self._host.clock() - asked_at
            self._go_on()

    async def see_interrupted(self, session: Session, rules: ScreenRules, seconds: float) -> bool:
        """Whether a turn was stopped: its end is told by a hook, or shown by the screen."""
        before, deadline = session.sighting.ended, self._host.clock() + seconds
        while session.sighting.ended == before and not session.idle and not session.sighting.over:
            if await self._shows_end_of_turn(session, rules):
                # Whatever the program reported before this moment belongs to the turn that was stopped.
                await self._host.read_hooks(session)
                if session.sighting.ended == before:
                    session.observe(Interrupted())
                return True
            if self._host.clock() >= deadline:
                return False
            await session.next_event(LOOK_EVERY_S)
            self._go_on()
        return True

    async def clear(self, session: Session) -> None:
        """Away with a prompt of which nobody knows how much arrived: the next one must not be added to it.

        Half a paste leaves the program in the middle of it, where every key is text: it is ended first.
        """
        async with session.lane, session.writing:
            if not session.idle:
                return
            if (await self._screen(session)).bracketed_paste:
                await self._host.terminal.write(tab_of(session), END)
            # Where no paste was open, a program may take the rest of its end for typed text: then once more.
            for _ in range(CLEAR_TRIES):
                if await self._is_empty_after_key(session):
                    return
            _log.warning("composer_not_cleared", session_id=str(session.id))

    async def _is_empty_after_key(self, session: Session) -> bool:
        if session.profile.screen is not None:
            # What was typed may not be drawn yet. Where nothing is, the key may end the program.
            await self._host.sleep(CLEARED_S)
            if await self.is_empty(session):
                return True
            await self._host.terminal.press(tab_of(session), session.profile.typing.clear_key)
            return await self._comes_true(session, self.is_empty, CLEARED_S)
        before = await self._last_mark(session)
        await self._host.terminal.press(tab_of(session), Key.CTRL_C)
        if not await self._comes_true(session, lambda s: self._has_new_prompt(s, before), NEW_PROMPT_S):
            return False
        await self._host.sleep(SETTLING_S)
        return session.sighting.over or await self.is_empty(session)

    async def _look(self, session: Session, rules: ScreenRules) -> None:
        if session.tab_id is None or session.sighting.over:
            return
        screen = await self._screen(session)
        if (question := rules.question(screen)) is not None:
            session.observe(DialogSeen(question.strip()))
        elif session.sighting.announced and screen.bracketed_paste and rules.shows_ready(screen):
            session.observe(ComposerSeen(cursor_of(screen)))

    async def _shows_end_of_turn(self, session: Session, rules: ScreenRules) -> bool:
        """Whether the screen says twice, a moment apart, that the program can be typed to."""
        if not rules.shows_ready(await self._screen(session)):
            return False
        await self._host.sleep(STEADY_S)
        return rules.shows_ready(await self._screen(session))

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
        return (await self._screen(session)).bracketed_paste

    async def _last_mark(self, session: Session) -> int:
        return max((mark.ordinal for mark in await self._host.terminal.marks(tab_of(session))), default=0)

    async def _has_new_prompt(self, session: Session, before: int) -> bool:
        is_new = await self._last_mark(session) > before
        # The session hears of a mark a moment later than the screen shows it: the next turn is counted from there.
        has_heard = session.sighting.marks_seen == await self._last_mark(session) and session.idle
        return session.sighting.over or (is_new and has_heard and await self.is_empty(session))

    async def _screen(self, session: Session) -> Screen:
        return await self._host.terminal.screen(tab_of(session))

    def _go_on(self) -> None:
        if self._host.stop:
            raise Stopping("The agent stops.")


def tab_of(session: Session) -> str:
    """Raises CommandError where the session has no terminal yet."""
    if session.tab_id is None:
        raise CommandError(ErrorCode.NOT_READY, "The session has no terminal yet.")
    return session.tab_id
