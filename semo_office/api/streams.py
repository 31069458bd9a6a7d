"""Server-sent events: output and changes as they come, until either side leaves."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from semo_office.api.bodies import Command, EndOfSession, OpenedStream, OutputRows
from semo_office.api.desk import Desk
from semo_office.api.gate import REQUEST_ID
from semo_office.api.problems import Refused, of_office, overloaded
from semo_office.errors import ErrorCode, LinkError, NotAuthenticated, OfficeError
from semo_office.link import Filter, Row, among, eq, gte
from semo_office.models import AgentCommand, CommandStatus, GetOutput, Job, SessionInfo
from semo_office.output import MANY_LINES, News, follow_output

T = TypeVar("T")

EVENT_STREAM: Final = "text/event-stream"
STREAMS_MAX: Final = 64
REPEATED: Final = timedelta(seconds=30)
"""Changes so long before the last one told are told again: those two were not told in the order of their versions."""

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="Go on after this event; browsers send it themselves."),
]

_TABLES: Final = {"agent_sessions": "session_id", "agent_commands": "id", "job_queue": "id"}
_FINISHED: Final = among("status", [CommandStatus.COMPLETED, CommandStatus.FAILED])


@dataclass(frozen=True)
class Event:
    """One event. `id`: where a reader that comes back goes on."""

    name: str
    data: BaseModel
    id: str | None = None

    def to_text(self) -> str:
        # JSON has no line ends outside of its strings, and those are escaped.
        number = f"id: {self.id}\n" if self.id is not None else ""
        return f"{number}event: {self.name}\ndata: {self.data.model_dump_json()}\n\n"


def wants_stream(accept: str) -> bool:
    """Whether the header asks for events by name: what takes anything gets JSON."""
    return any(part.partition(";")[0].strip().lower() == EVENT_STREAM for part in accept.split(","))


async def output_stream(request: Request, desk: Desk, session: SessionInfo, wanted: GetOutput) -> StreamingResponse:
    """The rows of a session as they come. Raises Refused (503) when too many streams go on, and OfficeError."""
    return await _respond(request, desk, _output(desk, session, wanted))


async def change_stream(request: Request, desk: Desk, last: int | None) -> StreamingResponse:
    """Sessions, ends of commands and jobs as they change; `last`: the version told last. Raises as `output_stream`."""
    return await _respond(request, desk, _changes(desk, last))


def output_after(last: str) -> GetOutput:
    """What follows an event of output. Raises Refused."""
    epoch, _, line = last.partition(":")
    if not (_is_number(epoch) and _is_number(line)):
        raise Refused(422, ErrorCode.INVALID_PAYLOAD, "Last-Event-ID is EPOCH:LINE here.")
    return GetOutput(epoch=int(epoch), since_line=int(line), lines=MANY_LINES)


def version_of(last: str) -> int:
    """The version that an event of changes has. Raises Refused."""
    if not _is_number(last):
        raise Refused(422, ErrorCode.INVALID_PAYLOAD, "Last-Event-ID is a number here.")
    return int(last)


async def _respond(request: Request, desk: Desk, source: AsyncGenerator[Event]) -> StreamingResponse:
    if desk.service.streams >= STREAMS_MAX:
        raise overloaded("Too many streams go on; end one, or try again in a moment.")
    # The first event before the answer: what the office refuses is a status then, not a stream.
    first = await anext(source)
    return _Told(_told(desk, first, source, request.scope[REQUEST_ID]))


class _Told(StreamingResponse):
    """Closes its events however it ends: a reader that does not read and then leaves ends it between two of them."""

    def __init__(self, events: AsyncGenerator[str]) -> None:
        super().__init__(events, media_type=EVENT_STREAM)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _told(desk: Desk, first: Event, source: AsyncGenerator[Event], request_id: str) -> AsyncGenerator[str]:
    desk.service.streams += 1
    try:
        yield first.to_text()
        async with aclosing(source), aclosing(_kept_open(desk, source)) as texts:
            async for text in texts:
                yield text
    except (OfficeError, Refused) as err:
        refused = err if isinstance(err, Refused) else of_office(err)
        yield Event("error", refused.to_problem(request_id)).to_text()
    finally:
        desk.service.streams -= 1


async def _kept_open(desk: Desk, source: AsyncGenerator[Event]) -> AsyncGenerator[str]:
    """Every event; a comment in a silence; the end when the source ends, or the server stops."""
    stopping = asyncio.create_task(desk.service.stop.wait(), name="stop of a stream")
    following = asyncio.ensure_future(anext(source))
    try:
        while not stopping.done():
            await asyncio.wait({stopping, following}, timeout=desk.service.keep_s, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                yield following.result().to_text()
                following = asyncio.ensure_future(anext(source))
            elif not stopping.done():
                await _check(desk)
                yield ": still here\n\n"
    except StopAsyncIteration:
        return
    finally:
        await _end(stopping, following)


async def _check(desk: Desk) -> None:
    """Raises Refused, NotAuthenticated. An office that is away is waited for."""
    try:
        await desk.check()
    except NotAuthenticated:
        raise
    except LinkError:
        return


async def _output(desk: Desk, session: SessionInfo, wanted: GetOutput) -> AsyncGenerator[Event]:
    begun = False
    async with aclosing(follow_output(desk.link, session, wanted)) as output:
        async for news in output:
            # The first in any case: it says that the stream goes on.
            if news.lines or news.missed or not begun:
                yield Event("output", _rows(news), id=f"{news.epoch}:{news.next_line}")
            begun = True
    ended = await desk.session(session.session_id)
    yield Event("end", EndOfSession(status=ended.status, reason=ended.reason))


def _rows(news: News) -> OutputRows:
    return OutputRows(epoch=news.epoch, first_line=news.first_line, lines=news.lines, missed=news.missed)


async def _changes(desk: Desk, last: int | None) -> AsyncGenerator[Event]:
    version, changed_at = await _position(desk, last)
    yield Event("open", OpenedStream(version=version), id=str(version))
    since = [gte("updated_at", changed_at - REPEATED)] if changed_at else []
    async with aclosing(
        merged(
            _watched(desk, "agent_sessions", since, _session_event),
            _watched(desk, "agent_commands", [*since, _FINISHED], _command_event),
            _watched(desk, "job_queue", since, _job_event),
        )
    ) as events:
        async for event in events:
            yield event


async def _position(desk: Desk, last: int | None) -> tuple[int, datetime | None]:
    """The newest version up to `last` (None: of all), and when it came; None: there was none."""
    newest: tuple[int, datetime | None] = (last or 0, None)
    bound = [Filter("version", "lte", str(last))] if last is not None else []
    for table in _TABLES:
        filters = [eq("office_id", desk.office_id), *bound]
        columns = "version,updated_at"
        for row in await desk.link.select(table, columns=columns, filters=filters, order=["-version"], limit=1):
            at = datetime.fromisoformat(str(row["updated_at"]))
            if newest[1] is None or at > newest[1]:
                newest = (max(int(str(row["version"])), newest[0]), at)
    return newest


async def _watched(
    desk: Desk, table: str, filters: list[Filter], read: Callable[[Row], Event]
) -> AsyncGenerator[Event]:
    rows = desk.link.watch(
        table, office_id=desk.office_id, key=_TABLES[table], filters=[eq("office_id", desk.office_id), *filters]
    )
    async with aclosing(rows):
        async for row in rows:
            yield read(row)


def _session_event(row: Row) -> Event:
    session = SessionInfo.model_validate(row)
    return Event("session", session, id=str(session.version))


def _command_event(row: Row) -> Event:
    command = Command.of(AgentCommand.model_validate(row))
    return Event("command", command, id=str(command.version))


def _job_event(row: Row) -> Event:
    job = Job.model_validate(row)
    return Event("job", job, id=str(job.version))


async def merged(*sources: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """What any of them brings, until one ends."""
    turns = {asyncio.ensure_future(anext(source)): source for source in sources}
    try:
        while True:
            done, _ = await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
            for turn in done:
                source = turns.pop(turn)
                item = turn.result()
                turns[asyncio.ensure_future(anext(source))] = source
                yield item
    except StopAsyncIteration:
        return
    finally:
        await _end(*turns)
        for source in sources:
            await source.aclose()


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
