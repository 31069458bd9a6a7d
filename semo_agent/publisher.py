"""Sends the output of watched sessions as it comes: one task, one message a tick for all sessions of an office.

The first change after a quiet while goes out at once; what follows within a tick goes out together. Nobody polls a
terminal: it says that it changed, and is read then. While nobody watches, nothing is done at all.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

import structlog

from semo_agent.audience import Audience
from semo_agent.budget import Budget
from semo_agent.deltas import (
    MESSAGE_BYTES,
    Delta,
    Sent,
    cursor_of,
    cut,
    first_needed,
    json_bytes,
    pieces,
    sent_after,
)
from semo_agent.errors import TabNotFound, TerminalDied, TerminalError
from semo_agent.host import Host
from semo_agent.session import Session
from semo_agent.stopping import Stop
from semo_agent.terminals.base import Screen
from semo_office.errors import LinkError
from semo_office.events import LastLine, SessionOutput
from semo_office.link import Timing

TICK_S: Final = 0.03
LAST_LINES_S: Final = 1.0
IDLE_S: Final = 3600.0
LAST_LINE_LONGEST: Final = 200
OUTPUT_OVERHEAD: Final = 1200
"""Bytes of a message around the rows of one session, its title included."""
TITLE_LONGEST: Final = 100

_log = structlog.get_logger(__name__)


class OutputEvents(Protocol):
    """Where output goes. Raises LinkError when nothing can be sent now."""

    async def broadcast_streaming(self, office_id: UUID, instance: UUID) -> None: ...

    async def broadcast_session_output(
        self, office_id: UUID, outputs: Sequence[SessionOutput], last_lines: Sequence[LastLine] = ()
    ) -> None: ...


class Publisher:
    """The output of this host's sessions, for whoever watches. `instance`: this process of the agent."""

    def __init__(
        self, host: Host, events: OutputEvents, *, instance: UUID, budget: Budget, stop: Stop, timing: Timing
    ) -> None:
        self._host = host
        self._events = events
        self._instance = instance
        self._budget = budget
        self._stop = stop
        self._timing = timing
        self._bell = asyncio.Event()
        self._audiences: dict[UUID, Audience] = {}
        self._office_of: dict[UUID, UUID | None] = {}
        self._changed: set[UUID] = set()
        self._last_lines_due: set[UUID] = set()
        self._sent: dict[UUID, Sent] = {}
        self._seq: dict[UUID, int] = {}
        self._next_tick = float("-inf")
        self._next_last_lines = float("-inf")
        self._news = False
        stop.then(self._bell.set)

    def audience_of(self, office_id: UUID) -> Audience:
        """Who hears the topic of an office that this host serves."""
        if office_id not in self._audiences:
            self._audiences[office_id] = Audience(office_id, self._timing.clock, self._note_news)
        return self._audiences[office_id]

    def note_change(self, session_id: UUID) -> None:
        """The output of a session changed; never blocks."""
        if not any(audience.receivers for audience in self._audiences.values()):
            self._sent.clear()
            return
        if not self._changed:
            self._bell.set()
        self._changed.add(session_id)

    async def run(self) -> None:
        """Publish until the stop."""
        while not self._stop:
            await self._timing.rings(self._bell, self._pause())
            self._bell.clear()
            if not self._stop and self._pause() <= 0:
                await self._publish()

    def _note_news(self) -> None:
        self._news = True
        self._bell.set()

    def _pause(self) -> float:
        """How long there is nothing to do, s."""
        now = self._timing.clock()
        if self._news or self._changed:
            return self._next_tick - now
        return self._next_last_lines - now if self._last_lines_due else IDLE_S

    async def _publish(self) -> None:
        """One tick."""
        changed, self._changed, self._news = self._changed, set(), False
        await self._learn_offices(changed)
        for audience in self._audiences.values():
            try:
                await self._publish_to(audience, self._of_office(audience, changed))
            except LinkError:
                # Whoever watches has a gap: after the next join everything is sent as a whole.
                self._forget(self._of_office(audience, self._sent))
        now = self._timing.clock()
        if now >= self._next_last_lines:
            self._next_last_lines = now + LAST_LINES_S
        self._next_tick = now + max(TICK_S, self._budget.wait())

    async def _publish_to(self, audience: Audience, changed: set[UUID]) -> None:
        if audience.must_greet:
            await self._events.broadcast_streaming(audience.office_id, self._instance)
            audience.must_greet = False
        await self._learn_offices(audience.resync)
        watched = self._of_office(audience, audience.watched())
        anew = audience.take_resync(watched)
        self._forget(anew)
        outputs = await self._read_all((changed & watched) | anew)
        last_lines = await self._read_last_lines(audience, changed - watched)
        await self._send(audience, outputs, last_lines)
        self._forget(self._of_office(audience, self._sent) - watched)

    async def _send(self, audience: Audience, outputs: Sequence[SessionOutput], lines: Sequence[LastLine]) -> None:
        for number, message in enumerate(packed(outputs, lines)):
            if number and (wait := self._budget.wait()):
                await self._timing.sleep(wait)
            self._budget.spend(1 + audience.receivers)
            await self._events.broadcast_session_output(audience.office_id, message.outputs, message.last_lines)

    async def _read_all(self, session_ids: Iterable[UUID]) -> list[SessionOutput]:
        outputs: list[SessionOutput] = []
        for session_id in session_ids:
            session = self._host.sessions.find(session_id)
            if session is None or session.tab_id is None:
                continue
            try:
                outputs += await self._read(session, session.tab_id)
            except TerminalError as err:
                self._note_unreadable(session, err)
        return outputs

    async def _read(self, session: Session, tab_id: str) -> list[SessionOutput]:
        """What the watchers of a session do not know."""
        terminal, sent = self._host.terminal, self._sent.get(session.id)
        screen = await terminal.screen(tab_id)
        first = first_needed(sent, screen)
        committed = await terminal.lines(tab_id, first, screen.base, epoch=screen.epoch) if first < screen.base else ()
        self._sent[session.id] = now = sent_after(sent, screen)
        delta = cut(sent, now, committed)
        if now.left_out:
            # Looked at again at the next tick, whether it changes or not: the flood may be over.
            self._changed.add(session.id)
        return [] if delta is None else [self._output(session.id, screen, piece) for piece in pieces(delta)]

    def _output(self, session_id: UUID, screen: Screen, delta: Delta) -> SessionOutput:
        seq = self._seq[session_id] = self._seq.get(session_id, 0) + 1
        return SessionOutput(
            session_id=session_id,
            instance=self._instance,
            seq=seq,
            epoch=screen.epoch,
            first=delta.first,
            rows=delta.rows,
            base=screen.base,
            cols=screen.size.cols,
            screen_rows=len(screen.rows),
            cursor=cursor_of(screen),
            alternate=screen.alternate,
            title=screen.title[:TITLE_LONGEST],
            at_ms=self._now_ms(),
        )

    async def _read_last_lines(self, audience: Audience, changed: set[UUID]) -> list[LastLine]:
        """The newest row of what nobody looks at closely, once a second; of nothing while nobody watches the office."""
        self._last_lines_due |= changed
        due = self._of_office(audience, self._last_lines_due)
        if audience.receivers and self._timing.clock() < self._next_last_lines:
            return []
        self._last_lines_due -= due
        if not audience.receivers:
            return []
        return [line for each in due if (line := await self._last_line(each)) is not None]

    async def _last_line(self, session_id: UUID) -> LastLine | None:
        session = self._host.sessions.find(session_id)
        if session is None or session.tab_id is None:
            return None
        try:
            screen = await self._host.terminal.screen(session.tab_id)
        except TerminalError as err:
            self._note_unreadable(session, err)
            return None
        texts = [row.text for row in screen.rows if row.text.strip()]
        return LastLine(session_id=session_id, row=texts[-1][:LAST_LINE_LONGEST] if texts else "", at_ms=self._now_ms())

    async def _learn_offices(self, session_ids: Iterable[UUID]) -> None:
        """A session is shown to its own office only, whatever a watcher asks for."""
        for each in [each for each in session_ids if each not in self._office_of]:
            if self._host.sessions.find(each) is not None:
                row = await self._host.office.session(each)
                self._office_of[each] = None if row is None else row.office_id

    def _of_office(self, audience: Audience, session_ids: Iterable[UUID]) -> set[UUID]:
        return {each for each in session_ids if self._office_of.get(each) == audience.office_id}

    def _note_unreadable(self, session: Session, err: TerminalError) -> None:
        if isinstance(err, TerminalDied):
            raise err
        self._forget([session.id])
        if not isinstance(err, TabNotFound):
            _log.warning("output_not_read", session_id=str(session.id), error=type(err).__name__)

    def _forget(self, session_ids: Iterable[UUID]) -> None:
        """What was sent of them is not known any more: the next time they are sent as a whole."""
        for each in session_ids:
            self._sent.pop(each, None)

    def _now_ms(self) -> int:
        return int(self._timing.now().timestamp() * 1000)


@dataclass(slots=True)
class Message:
    """What goes out together. `room`: bytes left, as JSON."""

    outputs: list[SessionOutput] = field(default_factory=list)
    last_lines: list[LastLine] = field(default_factory=list)
    room: int = MESSAGE_BYTES


def packed(outputs: Sequence[SessionOutput], last_lines: Sequence[LastLine]) -> list[Message]:
    """As few messages as possible, in order, each below 200 kB."""
    messages: list[Message] = []
    for output in outputs:
        _with_room(messages, OUTPUT_OVERHEAD + sum(map(json_bytes, output.rows))).outputs.append(output)
    for line in last_lines:
        _with_room(messages, OUTPUT_OVERHEAD + json_bytes(line.row)).last_lines.append(line)
    return messages


def _with_room(messages: list[Message], length: int) -> Message:
    if not messages or messages[-1].room < length:
        messages.append(Message())
    messages[-1].room -= length
    return messages[-1]
