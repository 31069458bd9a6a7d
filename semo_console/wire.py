"""The way from the console to its offices, over one link."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from semo_console.board_feed import BoardFeed
from semo_console.feed import OutputFeed
from semo_console.state import news
from semo_console.state.console import Change
from semo_console.state.effects import (
    CancelJob,
    Effect,
    EndSession,
    JudgeJob,
    Leave,
    NewSession,
    Order,
    Refresh,
    ResetBreaker,
    RetryJob,
    SendAnswer,
    SendPrompt,
    StopTurn,
    Unsend,
)
from semo_console.state.output import Output
from semo_console.state.receipts import Receipt, Step
from semo_office.commands import CommandRepository, Outcome
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import LinkError, OfficeError
from semo_office.link import Link, LinkStatus, Row, among, eq, gte, is_null, neq
from semo_office.link.timing import unless
from semo_office.models import (
    AgentCommand,
    CommandStatus,
    CommandType,
    CreateSession,
    Office,
    SendText,
    SessionInfo,
    SessionStatus,
)
from semo_office.offices import OfficeStore

OFFICES_EVERY_S: Final = 30.0
RETRY_S: Final = 2.0
RECEIPT_EVERY_S: Final = 5.0
SENDING_S: Final = 2.0
"""How long leaving waits for what was just sent."""

# A row that is committed late has an older time of change than rows that are seen already.
_OVERLAP: Final = timedelta(seconds=60)

Tell = Callable[[Change], None]
TellOutput = Callable[[UUID, int], None]


class OfficeWire:
    """Tells sessions, receipts, jobs and the state of the link as changes of the console's state.

    `operator_id`: whose unfinished commands are followed from the start. A fault of the network is lived through; any
    other ends `serve`, which raises it.
    """

    def __init__(self, link: Link, operator_id: str, tell: Tell, tell_output: TellOutput) -> None:
        self._link = link
        self._operator_id = operator_id
        self._tell = tell
        self._commands = CommandRepository(link)
        self._offices = OfficeStore(link)
        self._feed = OutputFeed(link, tell_output)
        self._board = BoardFeed(link, tell, self._start)
        self._stop = asyncio.Event()
        self._reread = asyncio.Event()
        self._known: set[UUID] = set()
        self._unread: set[UUID] = set()
        """Offices whose sessions have not been read yet."""
        self._loaded = False
        self._group: asyncio.TaskGroup | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until `stop`. Raises what one of its parts failed with."""
        silence = self._link.on_status(self._tell_status)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start(self._link.wait_closed(), "link")
                self._start(self._follow_offices(), "offices")
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        finally:
            silence()

    async def stop(self) -> None:
        """What was just sent still goes out."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=SENDING_S)
        self._stop.set()

    # What the console wants

    def perform(self, effect: Effect) -> None:
        match effect:
            case Unsend(command_id):
                self._start(self._unsend(command_id), f"unsend {command_id}", sending=True)
            case Refresh():
                self._reread.set()
            case Leave():
                self._stop.set()
            case CancelJob() | RetryJob() | JudgeJob() | ResetBreaker():
                self._start(self._board.perform(effect), f"board {effect}", sending=True)
            case _:
                self._start(self._order(effect), f"send {effect.command_id}", sending=True)

    def watch(self, session_ids: tuple[UUID, ...]) -> None:
        self._feed.show(session_ids)

    def find_output(self, session_id: UUID) -> Output | None:
        return self._feed.find(session_id)

    async def _order(self, order: Order) -> None:
        try:
            await self._dispatch(CommandDispatcher(self._commands, order.office_id), order)
        except OfficeError as err:
            self._tell(partial(news.refuse, command_id=order.command_id, sentence=str(err)))
        else:
            self._start(self._follow_command(order.office_id, order.command_id), f"receipt {order.command_id}")

    async def _dispatch(self, dispatcher: CommandDispatcher, order: Order) -> Outcome:
        session_id, command_id = order.session_id, order.command_id
        match order:
            case SendPrompt():
                return await dispatcher.dispatch_send_prompt(session_id, order.text, command_id=command_id)
            case SendAnswer():
                request = SendText(text=order.text, answer=True)
                return await dispatcher.dispatch_send_text(session_id, request, command_id=command_id)
            case StopTurn():
                return await dispatcher.dispatch_cancel(session_id, command_id=command_id)
            case EndSession():
                return await dispatcher.dispatch_terminate(session_id, command_id=command_id)
            case NewSession():
                wanted = CreateSession(role=order.role, profile=order.profile)
                return await dispatcher.dispatch_create_session(wanted, session_id=session_id, command_id=command_id)

    async def _unsend(self, command_id: UUID) -> None:
        try:
            await self._commands.cancel_command(command_id)
        except OfficeError as err:
            self._tell(partial(news.tell, sentence=f"Not taken back: {err}"))

    # What the offices tell

    async def _follow_offices(self) -> None:
        while True:
            try:
                await self._read_offices()
            except LinkError:
                # The state of the link is on the screen already.
                await self._link.timing.rings(self._reread, RETRY_S)
            else:
                await self._link.timing.rings(self._reread, OFFICES_EVERY_S)
            if self._reread.is_set():
                self._reread.clear()
                for office_id in self._known:
                    self._start(self._read_sessions_again(office_id), f"sessions of {office_id} again")

    async def _read_offices(self) -> None:
        offices = await self._offices.get_offices()
        self._tell(partial(news.see_offices, offices=tuple(offices)))
        for office in offices:
            if office.id not in self._known:
                self._known.add(office.id)
                self._unread.add(office.id)
                self._follow_office(office)
        self._tell_when_loaded()

    def _follow_office(self, office: Office) -> None:
        self._start(self._follow_sessions(office.id), f"sessions of {office.id}")
        self._board.follow(office.id)
        self._start(self._follow_unfinished(office.id), f"unfinished commands of {office.id}")
        self._start(self._feed.follow(office.id), f"output of {office.id}")

    async def _follow_sessions(self, office_id: UUID) -> None:
        newest = await self._persist(lambda: self._read_sessions(office_id))
        self._unread.discard(office_id)
        self._tell_when_loaded()
        # Sessions that ended long ago are no news.
        since = [gte("updated_at", newest - _OVERLAP)] if newest else []
        rows = self._link.watch(
            "agent_sessions", office_id=office_id, key="session_id", filters=[eq("office_id", office_id), *since]
        )
        async with aclosing(rows):
            async for row in rows:
                self._tell_session(row)

    async def _read_sessions(self, office_id: UUID) -> datetime | None:
        """Tell the living sessions; when the newest of them changed."""
        living = [eq("office_id", office_id), neq("status", SessionStatus.TERMINATED), is_null("deleted_at")]
        rows = await self._link.select("agent_sessions", filters=living, order=["created_at", "session_id"])
        for row in rows:
            self._tell_session(row)
        return max((datetime.fromisoformat(str(row["updated_at"])) for row in rows), default=None)

    async def _read_sessions_again(self, office_id: UUID) -> None:
        try:
            await self._read_sessions(office_id)
        except LinkError as err:
            self._tell(partial(news.tell, sentence=str(err)))

    def _tell_session(self, row: Row) -> None:
        session = SessionInfo.model_validate(row)
        self._feed.belongs(session.session_id, session.office_id)
        self._tell(partial(news.see_session, session=session))

    def _tell_when_loaded(self) -> None:
        if not self._unread and not self._loaded:
            self._loaded = True
            self._tell(news.see_all_loaded)

    async def _follow_unfinished(self, office_id: UUID) -> None:
        """Prompts that this operator sent before, from wherever, and that have not ended."""
        going_on = [
            eq("office_id", office_id),
            eq("created_by", self._operator_id),
            eq("command_type", CommandType.SEND_PROMPT),
            among("status", [CommandStatus.PENDING, CommandStatus.PROCESSING]),
        ]
        rows = await self._persist(lambda: self._link.select("agent_commands", filters=going_on, order=["sequence"]))
        for row in rows:
            command = AgentCommand.model_validate(row)
            self._start(self._follow_command(office_id, command.id), f"receipt {command.id}")

    async def _follow_command(self, office_id: UUID, command_id: UUID) -> None:
        """Tell each step of its receipt until it has ended."""
        async with self._link.expect(
            office_id, ("agent_commands", command_id), ("agent_command_results", command_id)
        ) as change:
            while True:
                try:
                    receipt = receipt_of(await self._commands.get_outcome(command_id))
                    self._tell(partial(news.see_receipt, receipt=receipt))
                    if receipt.finished:
                        return
                    if not await change.next(RECEIPT_EVERY_S):
                        # Whoever waits for a command also sees to it that it ends when it is overdue.
                        await self._commands.expire_commands()
                except LinkError:
                    await self._link.timing.sleep(RETRY_S)

    def _tell_status(self, status: LinkStatus) -> None:
        word = status.state.value.replace("_", " ")
        self._tell(partial(news.see_connection, word=word, since=status.since))

    # Tasks

    async def _persist(self, read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What is read, as soon as the office can be reached."""
        while True:
            try:
                return await read()
            except LinkError:
                await self._link.timing.sleep(RETRY_S)

    def _start(self, work: Coroutine[Any, Any, None], name: str, *, sending: bool = False) -> None:
        if self._group is None or self._stop.is_set():
            work.close()
            return
        task = self._group.create_task(unless(self._stop, work, name), name=name)
        if sending:
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)


def receipt_of(outcome: Outcome) -> Receipt:
    """The outcome of a command in the terms of the console."""
    command, result = outcome.command, outcome.result
    text = command.payload.get("prompt") or command.payload.get("text") or ""
    exit_status = (result.result or {}).get("exit_status") if result else None
    return Receipt(
        command_id=command.id,
        session_id=command.session_id,
        office_id=command.office_id,
        command_type=command.command_type,
        text=str(text),
        sent_at=command.created_at,
        steps=tuple(Step(event.stage, event.at) for event in outcome.events),
        status=command.status,
        error=command.error,
        message=result.message if result else None,
        exit_status=exit_status if isinstance(exit_status, int) else None,
    )
