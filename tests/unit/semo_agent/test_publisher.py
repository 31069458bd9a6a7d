import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from semo_agent.budget import Budget
from semo_agent.emulator import Emulator
from semo_agent.errors import TabNotFound
from semo_agent.host import Sessions
from semo_agent.profiles.profile import EvidenceRules, Launch, Profile
from semo_agent.publisher import LAST_LINES_S, TICK_S, Publisher
from semo_agent.session import Session
from semo_agent.stopping import Stop
from semo_agent.terminals.base import Changed, Line, Screen, Size
from semo_office.errors import LinkError
from semo_office.events import LastLine, OutputEvent, OutputView, SessionOutput, WatchEvent
from semo_office.models import SessionInfo, SessionStatus
from tests.unit.semo_office.fakes import EPOCH, ManualTime, settle

OFFICE, OTHER_OFFICE = uuid4(), uuid4()
PROFILE = Profile(name="shell", launch=Launch(argv=["sh"]), evidence=EvidenceRules(source="osc133"))


class Screens:
    """The reading half of a terminal, on real emulators."""

    def __init__(self) -> None:
        self.emulators: dict[str, Emulator] = {}
        self.log: dict[str, list[Line]] = {}
        self.looks = 0

    def feed(self, tab_id: str, text: str) -> None:
        self.log[tab_id] += self.emulators[tab_id].feed(text.encode()).lines

    async def screen(self, tab_id: str) -> Screen:
        self.looks += 1
        if tab_id not in self.emulators:
            raise TabNotFound("The tab is gone.")
        return self.emulators[tab_id].screen()

    async def lines(self, tab_id: str, first: int, last: int, *, epoch: int | None = None) -> Sequence[Line]:
        return [line for line in self.log[tab_id] if line.epoch == epoch and first <= line.number < last]


class Rows:
    """The sessions' rows, as far as the publisher asks for them."""

    def __init__(self) -> None:
        self.office_of: dict[UUID, UUID] = {}
        self.questions = 0

    async def session(self, session_id: UUID) -> SessionInfo | None:
        self.questions += 1
        return SessionInfo(
            session_id=session_id, office_id=self.office_of[session_id], host_id=uuid4(), role="shell",
            profile="shell", cwd="/", status=SessionStatus.READY, status_source="test", status_as_of=EPOCH,
            created_at=EPOCH, last_activity_at=EPOCH, version=1,
        )  # fmt: skip


@dataclass
class Wire:
    """What was sent: office, outputs, last lines."""

    sent: list[tuple[UUID, list[SessionOutput], list[LastLine]]] = field(default_factory=list)
    greetings: list[UUID] = field(default_factory=list)
    broken: bool = False

    async def broadcast_streaming(self, office_id: UUID, instance: UUID) -> None:
        self.greetings.append(office_id)

    async def broadcast_session_output(
        self, office_id: UUID, outputs: Sequence[SessionOutput], last_lines: Sequence[LastLine] = ()
    ) -> None:
        if self.broken:
            raise LinkError("The office's Realtime is not connected.")
        self.sent.append((office_id, list(outputs), list(last_lines)))

    @property
    def outputs(self) -> list[SessionOutput]:
        return [output for _, outputs, _ in self.sent for output in outputs]


@dataclass
class Stage:
    """A publisher that runs, and a hand on everything around it."""

    time: ManualTime
    screens: Screens
    rows: Rows
    wire: Wire
    sessions: Sessions
    publisher: Publisher
    watcher: UUID = field(default_factory=uuid4)

    def session(self, office_id: UUID = OFFICE, size: Size = Size(40, 5)) -> Session:  # noqa: B008 - frozen
        session = Session(uuid4(), PROFILE, clock=self.time.timing.clock, stop=Stop())
        tab_id = f"tab {session.id}"
        self.screens.emulators[tab_id], self.screens.log[tab_id] = Emulator(size), []
        self.rows.office_of[session.id] = office_id
        self.sessions.add(session)
        self.sessions.bind(session, tab_id)
        return session

    async def watch(self, *sessions: Session, office_id: UUID = OFFICE, watcher: UUID | None = None) -> None:
        event = WatchEvent(watcher=watcher or self.watcher, session_ids=tuple(each.id for each in sessions))
        self.publisher.audience_of(office_id).note(event)
        await self.tick()

    async def say(self, session: Session, text: str) -> None:
        assert session.tab_id is not None
        self.screens.feed(session.tab_id, text)
        self.sessions.hand_out(Changed(session.tab_id))
        await settle()

    async def tick(self) -> None:
        await self.time.advance(TICK_S * 1.01)


@asynccontextmanager
async def stage(rate: float = 1e6) -> AsyncIterator[Stage]:
    time, stop, screens, rows, wire = ManualTime(), Stop(), Screens(), Rows(), Wire()
    sessions = Sessions(stop)
    budget = Budget(rate, time.timing.clock)
    publisher = Publisher(screens, sessions, rows, wire, instance=uuid4(), budget=budget, stop=stop, timing=time.timing)
    sessions.on_change(publisher.note_change)
    running = asyncio.create_task(publisher.run())
    try:
        yield Stage(time, screens, rows, wire, sessions, publisher)
    finally:
        stop.set()
        async with asyncio.timeout(5):
            await running


async def test_while_nobody_watches_nothing_is_read_asked_or_sent() -> None:
    async with stage() as on:
        session = on.session()
        await on.say(session, "hello")
        await on.time.advance(100.0)
        assert (on.screens.looks, on.rows.questions, on.wire.sent) == (0, 0, [])


async def test_the_first_change_goes_out_at_once_and_what_follows_goes_out_together() -> None:
    async with stage() as on:
        session = on.session()
        await on.watch(session)
        on.wire.sent.clear()
        await on.say(session, "a")
        assert len(on.wire.sent) == 1
        for letter in "bcdef":
            await on.say(session, letter)
        assert len(on.wire.sent) == 1
        await on.tick()
        assert [output.rows[0] for output in on.wire.outputs] == ["a", "abcdef"]


async def test_all_sessions_of_an_office_share_one_message() -> None:
    async with stage() as on:
        sessions = [on.session() for _ in range(5)]
        await on.watch(*sessions)
        on.wire.sent.clear()
        await on.say(sessions[0], "first")
        for session in sessions:
            await on.say(session, "later")
        await on.tick()
        assert [len(outputs) for _, outputs, _ in on.wire.sent] == [1, 5]


async def test_only_what_changed_is_sent_and_the_view_agrees() -> None:
    async with stage() as on:
        session, view = on.session(), OutputView()
        await on.watch(session)
        for number in range(30):
            await on.say(session, f"line {number}\r\n")
            await on.tick()
        applied = [view.apply(output) for output in on.wire.outputs]
        assert not any(each.gap for each in applied)
        assert list(view.rows()) == [*(f"line {number}" for number in range(30)), ""]
        assert max(len(output.rows) for output in on.wire.outputs[1:]) <= 5


async def test_a_late_watcher_gets_the_screen_with_what_was_before_it() -> None:
    async with stage() as on:
        session, late = on.session(), OutputView()
        await on.watch(session)
        for number in range(30):
            await on.say(session, f"line {number}\r\n")
            await on.tick()
        on.wire.sent.clear()
        await on.watch(session, watcher=uuid4())
        for output in on.wire.outputs:
            assert not late.apply(output).gap
        assert late.at(3) == "line 3"


async def test_a_session_is_shown_to_its_own_office_only() -> None:
    async with stage() as on:
        foreign = on.session(OTHER_OFFICE)
        await on.watch(foreign, office_id=OFFICE)
        await on.say(foreign, "secret")
        await on.tick()
        assert on.wire.outputs == []


async def test_of_what_nobody_looks_at_the_last_line_is_told_once_a_second() -> None:
    async with stage() as on:
        watched, other = on.session(), on.session()
        await on.watch(watched)
        on.wire.sent.clear()
        for number in range(50):
            await on.say(other, f"\r\nline {number}")
            await on.tick()
        told = [line for _, _, lines in on.wire.sent for line in lines]
        assert 1 <= len(told) <= 3
        await on.time.advance(LAST_LINES_S)
        told = [line for _, _, lines in on.wire.sent for line in lines]
        assert (told[-1].session_id, told[-1].row) == (other.id, "line 49")
        assert on.wire.outputs == []


async def test_messages_are_spaced_by_what_their_receivers_cost() -> None:
    async with stage(rate=10.0) as on:
        session = on.session()
        await on.watch(session)
        await on.watch(session, watcher=uuid4())
        await on.time.advance(5.0)
        on.wire.sent.clear()
        for _ in range(100):
            await on.say(session, "x")
            await on.time.advance(0.1)
        # 10 s at 10 messages a second, and each broadcast costs one and its two receivers.
        assert 30 <= len(on.wire.sent) <= 38
        view = OutputView()
        await on.time.advance(1.0)
        on.publisher.audience_of(OFFICE).on_gap()
        await on.time.advance(1.0)
        view.apply(on.wire.outputs[-1])
        assert "".join(view.rows()) == "x" * 100


async def test_no_message_is_longer_than_the_limit_and_nothing_is_lost_by_it() -> None:
    async with stage() as on:
        session, view = on.session(size=Size(400, 20)), OutputView()
        for number in range(480):
            assert session.tab_id is not None
            on.screens.feed(session.tab_id, f"\x1b[38;5;{number % 256}m{'한글' * 90} {number}\x1b[0m\r\n")
        await on.watch(session)
        assert len(on.wire.sent) > 1
        for _, outputs, lines in on.wire.sent:
            event = OutputEvent(outputs=tuple(outputs), last_lines=tuple(lines))
            assert len(event.model_dump_json().encode()) < 200_000
            assert len(json.dumps(event.model_dump(mode="json"), ensure_ascii=False).encode()) < 210_000
        for output in on.wire.outputs:
            assert not view.apply(output).gap
        assert [row.split()[-1].removesuffix("\x1b[0m") for row in view.rows() if row] == [str(n) for n in range(480)]


async def test_after_a_broken_connection_everything_is_sent_as_a_whole() -> None:
    async with stage() as on:
        session, view = on.session(), OutputView()
        await on.watch(session)
        on.wire.broken = True
        await on.say(session, "unheard\r\n")
        on.wire.broken = False
        on.publisher.audience_of(OFFICE).on_gap()
        await on.tick()
        for output in on.wire.outputs:
            assert not view.apply(output).gap
        assert view.at(0) == "unheard"
        assert on.wire.greetings == [OFFICE]


async def test_a_tab_that_is_gone_does_not_keep_the_others_waiting() -> None:
    async with stage() as on:
        gone, other = on.session(), on.session()
        await on.watch(gone, other)
        on.wire.sent.clear()
        del on.screens.emulators[str(gone.tab_id)]
        on.sessions.hand_out(Changed(str(gone.tab_id)))
        await on.say(other, "here")
        await on.tick()
        assert [output.session_id for output in on.wire.outputs] == [other.id]


async def test_when_the_last_watcher_has_gone_nothing_is_read_any_more() -> None:
    async with stage() as on:
        session = on.session()
        await on.watch(session)
        await on.time.advance(40.0)
        looks = on.screens.looks
        await on.say(session, "unwatched")
        await on.time.advance(10.0)
        assert on.screens.looks == looks
