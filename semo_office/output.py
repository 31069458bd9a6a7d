"""The output of a session: read once, and followed row by row until its end."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict

from semo_office.commands import CommandRepository, OutcomeKind
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, ErrorCode
from semo_office.events import OutputWatch, SessionOutput, SessionRealtimeEvents
from semo_office.link import Link
from semo_office.models import AgentCommandResult, GetOutput, SessionInfo, SessionStatus
from semo_office.sessions import SessionStore

LOOK_EVERY_S: Final = 15.0
"""A look without being told: hints and messages can be lost."""
MANY_LINES: Final = 10_000
ANSWER_S: Final = 30.0
"""How long the agent may take to answer; it does so at once whatever the program does."""

_SGR = re.compile("\x1b\\[[0-9;:]*m")


@dataclass(frozen=True)
class Reading:
    """Rows of a session from number `first_line` on; those before `settled` will not change any more."""

    epoch: int
    first_line: int
    lines: tuple[str, ...]
    settled: int

    @classmethod
    def of(cls, output: SessionOutput) -> "Reading":
        """Rows above the cursor are settled. An alternate screen is a picture, not output: none of it is."""
        rows = output.rows[: max(output.base - output.first, 0)] if output.alternate else output.rows
        settled = output.base + (0 if output.alternate else output.cursor_row)
        return cls(output.epoch, output.first, tuple(_SGR.sub("", row).rstrip(" ") for row in rows), settled)

    @property
    def next_line(self) -> int:
        return self.first_line + len(self.lines)

    def without_blank_end(self) -> "Reading":
        """The same without the rows below the last that holds something."""
        lines = list(self.lines)
        while lines and not lines[-1]:
            lines.pop()
        return Reading(self.epoch, self.first_line, tuple(lines), self.settled)


class Output(BaseModel):
    """The result of get_output: committed rows, and from `next_line` on those of the live screen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    first_line: int
    lines: tuple[str, ...]
    next_line: int
    cursor: tuple[int, int]
    alternate: bool

    def to_reading(self) -> Reading:
        """Rows above the cursor are settled. An alternate screen is a picture, not output: none of it is."""
        if self.alternate:
            committed = self.lines[: max(self.next_line - self.first_line, 0)]
            return Reading(self.epoch, self.first_line, committed, settled=self.next_line)
        return Reading(self.epoch, self.first_line, self.lines, settled=self.next_line + self.cursor[0])

    @property
    def may_go_on(self) -> bool:
        """It ends before the live screen: there may be more than one answer holds."""
        return bool(self.lines) and self.first_line + len(self.lines) <= self.next_line


@dataclass(frozen=True)
class News:
    """Rows that were not told before. `missed`: how many in front of them are no longer kept."""

    epoch: int
    first_line: int
    lines: tuple[str, ...] = ()
    missed: int = 0

    @property
    def next_line(self) -> int:
        """The number after the last row."""
        return self.first_line + len(self.lines)


@dataclass
class Follower:
    """Tells every settled row once and in order. `next_line` is where the next reading has to begin."""

    epoch: int | None = field(default=None)
    next_line: int = field(default=0)

    def continues(self, reading: Reading) -> bool:
        """Nothing lies between what was told and this reading."""
        return self.epoch == reading.epoch and reading.first_line <= self.next_line

    def take(self, reading: Reading, *, last: bool = False) -> News:
        """The news in a reading; in the `last` one all rows are settled."""
        begins_anew = self.epoch != reading.epoch
        start = reading.first_line if begins_anew else max(self.next_line, reading.first_line)
        missed = 0 if begins_anew else start - self.next_line
        end = max(start, reading.next_line if last else min(reading.settled, reading.next_line))
        self.epoch, self.next_line = reading.epoch, end
        offset = reading.first_line
        return News(reading.epoch, start, reading.lines[start - offset : end - offset], missed)


async def read_output(link: Link, session: SessionInfo, wanted: GetOutput) -> AgentCommandResult:
    """What stands in the session now; it is in `result`. Raises CommandError, TIMEOUT for no answer; LinkError."""
    dispatcher = CommandDispatcher(CommandRepository(link), session.office_id)
    outcome = await dispatcher.dispatch_get_output(session.session_id, wanted, timeout=ANSWER_S)
    if outcome.kind is not OutcomeKind.FINISHED or outcome.result is None:
        raise CommandError(ErrorCode.TIMEOUT, "The agent does not answer. `semo status` shows what runs.")
    if outcome.result.error is not None:
        raise CommandError(outcome.result.error, outcome.result.message)
    return outcome.result


async def follow_output(link: Link, session: SessionInfo, wanted: GetOutput) -> AsyncGenerator[News]:
    """The rows that are wanted, then those that come, until the session ends. Close the generator to stop early.

    With `since_line` every row from there on is told, and what is no longer kept is counted as `missed`.

    Raises CommandError when the office refuses, LinkError when the link ends.
    """
    watching = SessionRealtimeEvents(link).watch_output(session.office_id, [session.session_id])
    async with (
        watching as watch,
        _ending_of(link, session) as ended,
        aclosing(_Following(link, session).news(watch, ended, wanted)) as news,
    ):
        async for each in news:
            yield each


class _Following:
    """Tells each settled row of a session once and in order.

    The stream brings them as they come. What it passed over in a flood, or lost on the way, is read by command.
    """

    def __init__(self, link: Link, session: SessionInfo) -> None:
        self._link = link
        self._session = session
        self._follower = Follower()
        self._newest: Reading | None = None
        self._gone = False
        """The session's terminal can't be read any more."""

    async def news(self, watch: OutputWatch, ended: "asyncio.Task[None]", wanted: GetOutput) -> AsyncGenerator[News]:
        if wanted.epoch is not None and wanted.since_line is not None:
            self._follower = Follower(wanted.epoch, wanted.since_line)
        async for each in self._catch_up(wanted):
            yield each
        output = asyncio.ensure_future(anext(watch))
        try:
            while not ended.done():
                await asyncio.wait({output, ended}, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if output.done():
                    async for each in self._take(output.result()):
                        yield each
                    output = asyncio.ensure_future(anext(watch))
                elif not ended.done():
                    # The last message before a silence may have been lost.
                    async for each in self._catch_up():
                        yield each
        finally:
            output.cancel()
            await asyncio.gather(output, return_exceptions=True)
        ended.result()
        async for each in self._finish():
            yield each

    async def _take(self, output: SessionOutput) -> AsyncIterator[News]:
        self._newest = Reading.of(output)
        if self._follower.continues(self._newest):
            yield self._follower.take(self._newest)
        else:
            async for each in self._catch_up():
                yield each

    async def _finish(self) -> AsyncIterator[News]:
        """What the session left on its screen; after it was closed, as the stream showed it last."""
        async for each in self._catch_up(last=True):
            yield each
        if self._gone and self._newest is not None and self._follower.continues(self._newest):
            yield self._follower.take(self._newest.without_blank_end(), last=True)

    async def _catch_up(self, wanted: GetOutput | None = None, *, last: bool = False) -> AsyncIterator[News]:
        """Read by command all that there is."""
        while (output := await self._read_on(wanted)) is not None:
            yield self._follower.take(output.to_reading(), last=last and not output.may_go_on)
            if not output.may_go_on:
                return
            wanted = None

    async def _read_on(self, wanted: GetOutput | None) -> Output | None:
        """None: the session has ended, and what was read before is all that there is."""
        follower = self._follower
        wanted = wanted or GetOutput(epoch=follower.epoch, since_line=follower.next_line, lines=MANY_LINES)
        try:
            result = await read_output(self._link, self._session, wanted)
        except CommandError as err:
            if err.code is ErrorCode.SESSION_EXITED and follower.epoch is not None:
                self._gone = True
                return None
            raise
        return Output.model_validate(result.result)


@asynccontextmanager
async def _ending_of(link: Link, session: SessionInfo) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that is done when the session has ended."""

    async def wait() -> None:
        async with link.expect(session.office_id, ("agent_sessions", session.session_id)) as change:
            while not await _has_ended(link, session):
                await change.next(LOOK_EVERY_S)

    waiting = asyncio.create_task(wait(), name=f"end of {session.session_id}")
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _has_ended(link: Link, session: SessionInfo) -> bool:
    now = await SessionStore(link).get_session(session.session_id)
    return now is None or now.status is SessionStatus.TERMINATED
