"""`semo output`: what a session has printed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from semo_console.cli.actions.following import Follower, News, Reading
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.receipt import print_output
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import print_json, remark, say
from semo_console.cli.exits import ExitCode
from semo_console.errors import ConsoleError
from semo_office.commands import OutcomeKind
from semo_office.errors import CommandError, ErrorCode
from semo_office.events import OutputWatch, SessionOutput, SessionRealtimeEvents
from semo_office.locations import StateFolder
from semo_office.models import AgentCommandResult, GetOutput, SessionInfo, SessionStatus

LOOK_EVERY_S = 15.0
"""A look without being told: hints and messages can be lost."""
MANY_LINES = 10_000
ANSWER_S = 30.0
"""How long the agent may take to answer; it does so at once whatever the program does."""


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


def show_output(state_dir: Path | None, office: str | None, chosen: str, *, lines: int, as_json: bool) -> ExitCode:
    """Print the last lines. Raises UnclearTarget, OfficeError."""
    result = at_desk(StateFolder.find(state_dir), lambda desk: _read_once(desk, office, chosen, lines))
    if as_json:
        print_json(result.result)
    else:
        print_output(result)
    return ExitCode.OK


def follow_output(state_dir: Path | None, office: str | None, chosen: str, *, lines: int, as_json: bool) -> ExitCode:
    """Print the last lines, then what comes, until the session ends. Raises UnclearTarget, OfficeError."""
    at_desk(StateFolder.find(state_dir), lambda desk: _follow(desk, office, chosen, lines, as_json))
    return ExitCode.OK


async def _read_once(desk: OperatorDesk, named: str | None, chosen: str, lines: int) -> AgentCommandResult:
    session = await _find(desk, named, chosen)
    return await _get_output(desk, session, GetOutput(lines=lines))


async def _follow(desk: OperatorDesk, named: str | None, chosen: str, lines: int, as_json: bool) -> None:
    session = await _find(desk, named, chosen)
    watching = SessionRealtimeEvents(desk.link).watch_output(session.office_id, [session.session_id])
    async with watching as watch, _ending_of(desk, session) as ended:
        await _Following(desk, session, as_json).run(watch, ended, GetOutput(lines=lines))


class _Following:
    """Tells each settled row of a session once and in order.

    The stream brings them as they come. What it passed over in a flood, or lost on the way, is read by command.
    """

    def __init__(self, desk: OperatorDesk, session: SessionInfo, as_json: bool) -> None:
        self._desk = desk
        self._session = session
        self._as_json = as_json
        self._follower = Follower()
        self._newest: Reading | None = None

    async def run(self, watch: OutputWatch, ended: "asyncio.Task[None]", wanted: GetOutput) -> None:
        await self._catch_up(wanted)
        output = asyncio.ensure_future(anext(watch))
        try:
            while not ended.done():
                await asyncio.wait({output, ended}, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if output.done():
                    await self._take(output.result())
                    output = asyncio.ensure_future(anext(watch))
                elif not ended.done():
                    # The last message before a silence may have been lost.
                    await self._catch_up()
        finally:
            output.cancel()
            await asyncio.gather(output, return_exceptions=True)
        ended.result()
        await self._finish()

    async def _take(self, output: SessionOutput) -> None:
        self._newest = Reading.of(output)
        if self._follower.continues(self._newest):
            _tell(self._follower.take(self._newest), self._as_json)
        else:
            await self._catch_up()

    async def _finish(self) -> None:
        """What the session left on its screen; after it was closed, as the stream showed it last."""
        if await self._catch_up(last=True) or self._newest is None:
            return
        if self._follower.continues(self._newest):
            _tell(self._follower.take(self._newest.without_blank_end(), last=True), self._as_json)

    async def _catch_up(self, wanted: GetOutput | None = None, *, last: bool = False) -> bool:
        """Read by command all that there is; False: the session's terminal is gone."""
        while True:
            follower = self._follower
            wanted = wanted or GetOutput(epoch=follower.epoch, since_line=follower.next_line, lines=MANY_LINES)
            output = await _read_on(self._desk, self._session, wanted, follower)
            if output is None:
                return False
            _tell(follower.take(output.to_reading(), last=last and not output.may_go_on), self._as_json)
            if not output.may_go_on:
                return True
            wanted = None


@asynccontextmanager
async def _ending_of(desk: OperatorDesk, session: SessionInfo) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that is done when the session has ended."""

    async def wait() -> None:
        async with desk.link.expect(session.office_id, ("agent_sessions", session.session_id)) as change:
            while not await _has_ended(desk, session):
                await change.next(LOOK_EVERY_S)

    waiting = asyncio.create_task(wait(), name=f"end of {session.session_id}")
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _read_on(desk: OperatorDesk, session: SessionInfo, wanted: GetOutput, follower: Follower) -> Output | None:
    """None: the session has ended, and what was read before is all that there is."""
    try:
        result = await _get_output(desk, session, wanted)
    except CommandError as err:
        if err.code is ErrorCode.SESSION_EXITED and follower.epoch is not None:
            return None
        raise
    return Output.model_validate(result.result)


async def _find(desk: OperatorDesk, named: str | None, chosen: str) -> SessionInfo:
    office = await desk.find_office(named)
    return choose_session(await desk.sessions.get_sessions_by_office(office.id, with_ended=True), chosen=chosen)


async def _has_ended(desk: OperatorDesk, session: SessionInfo) -> bool:
    now = await desk.sessions.get_session(session.session_id)
    return now is None or now.status is SessionStatus.TERMINATED


async def _get_output(desk: OperatorDesk, session: SessionInfo, wanted: GetOutput) -> AgentCommandResult:
    dispatcher = desk.dispatcher(session.office_id)
    outcome = await dispatcher.dispatch_get_output(session.session_id, wanted, timeout=ANSWER_S)
    if outcome.kind is not OutcomeKind.FINISHED or outcome.result is None:
        raise ConsoleError("The agent does not answer. `semo status` shows what runs.")
    if outcome.result.error is not None:
        raise CommandError(outcome.result.error, outcome.result.message)
    return outcome.result


def _tell(news: News, as_json: bool) -> None:
    if news.missed:
        remark(f"({news.missed} lines are no longer kept)")
    if as_json and news.lines:
        lines: list[JsonValue] = list(news.lines)
        print_json({"epoch": news.epoch, "first_line": news.first_line, "lines": lines})
    elif not as_json:
        for line in news.lines:
            say(line)
