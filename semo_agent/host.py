"""What every command needs: the terminal, the office, the sessions that live here."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from semo_agent.errors import ClaimLost
from semo_agent.failpoints import Failpoints
from semo_agent.hooks.ancestry import own_program
from semo_agent.hooks.doorbell import listening
from semo_agent.hooks.program import program_name
from semo_agent.hooks.reading import read_event
from semo_agent.hooks.spool import Spooled, Spools
from semo_agent.journal import Entry, Journal, Phase
from semo_agent.office import Office
from semo_agent.profiles.hooks import Meaning
from semo_agent.profiles.profile import Profile, Profiles
from semo_agent.records import SessionRecords, record_of
from semo_agent.session import Clock, Session, Turn
from semo_agent.stopping import Stop
from semo_agent.terminals.base import Changed, Exited, Terminal, TerminalEvent
from semo_office.stopping import rings

EARLY_EVENTS_KEPT: Final = 1000
SPOOLS_READ_EVERY_S: Final = 2.0
"""However often a bell rings: it is a hint."""

_log = structlog.get_logger(__name__)


class Sessions:
    """The sessions that live on this host, by their id and by their tab."""

    def __init__(self, stop: Stop) -> None:
        self._by_id: dict[UUID, Session] = {}
        self._by_tab: dict[str, Session] = {}
        self._early: dict[str, list[TerminalEvent]] = {}
        self._tell_changed: Callable[[UUID], None] = lambda _session_id: None
        stop.then(self._wake_all)

    def on_change(self, tell: Callable[[UUID], None]) -> None:
        """Call this with each session whose terminal says something; it must not block."""
        self._tell_changed = tell

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def find(self, session_id: UUID) -> Session | None:
        """None: it does not live here."""
        return self._by_id.get(session_id)

    def find_by_tab(self, tab_id: str) -> Session | None:
        """None: the tab is no session's, or not yet."""
        return self._by_tab.get(tab_id)

    def add(self, session: Session) -> None:
        self._by_id[session.id] = session

    def bind(self, session: Session, tab_id: str) -> None:
        """From now on the tab's events are the session's, and those that came before we knew whose they are."""
        session.tab_id = tab_id
        self._by_tab[tab_id] = session
        for event in self._early.pop(tab_id, ()):
            session.observe(event)
        session.wake()
        self._tell_changed(session.id)

    def remove(self, session: Session) -> None:
        self._by_id.pop(session.id, None)
        if session.tab_id is not None:
            self._by_tab.pop(session.tab_id, None)

    def hand_out(self, event: TerminalEvent) -> None:
        """Give an event to the session whose tab it is about."""
        if (session := self._by_tab.get(event.tab_id)) is not None:
            session.observe(event)
            self._tell_changed(session.id)
        elif not isinstance(event, Changed):
            # A new tab speaks before `open` has returned its name.
            early = self._early.setdefault(event.tab_id, [])
            early.append(event)
            del early[:-EARLY_EVENTS_KEPT]

    def _wake_all(self) -> None:
        for session in self:
            session.wake()


@dataclass(frozen=True, slots=True)
class Host:
    """This machine as an office sees it. `environment`: the user's. clock: s, monotonic; sleep: s."""

    terminal: Terminal
    office: Office
    sessions: Sessions
    profiles: Profiles
    records: SessionRecords
    spools: Spools
    journal: Journal
    environment: Mapping[str, str]
    stop: Stop
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    failpoints: Failpoints = field(default_factory=Failpoints)

    def new_session(self, session_id: UUID, profile: Profile) -> Session:
        session = Session(session_id, profile, clock=self.clock, stop=self.stop)
        self.sessions.add(session)
        return session

    async def keep(self, session: Session) -> None:
        """Put on disk what is known of the session now."""
        async with session.keeping:
            if not session.end_is_told:
                await asyncio.to_thread(self.records.write, record_of(session))

    async def keep_turn(self, session: Session, turn: Turn) -> None:
        """Make this the session's turn, in the journal as well."""
        session.change_turn(turn)
        phase = Phase.ENTERED if turn.entered else Phase.TYPING
        await self.journal.advance(Entry(turn.claim.command_id, session.id, phase, turn))

    async def tell(self, session: Session) -> None:
        """Report what the office does not know of the session."""
        async with session.reporting:
            if (news := session.news()) is None:
                return
            try:
                await self.office.report_session(session.id, news)
            except ClaimLost as err:
                _log.warning("report_refused", session_id=str(session.id), why=str(err))
            session.reported(news)

    async def watch_events(self) -> None:
        """Hand out the terminal's events until it stops."""
        async for event in self.terminal.events():
            session = self.sessions.find_by_tab(event.tab_id)
            if isinstance(event, Exited) and session is not None:
                # What a program reported before its end is known before its end.
                await self.read_hooks(session)
            self.sessions.hand_out(event)

    async def watch_hooks(self) -> None:
        """Take in what programs report, until the stop."""
        with listening(self.spools.bell) as rung:
            self.stop.then(rung.set)
            while not self.stop:
                for session in self.sessions:
                    await self.read_hooks(session)
                await rings(rung, SPOOLS_READ_EVERY_S)

    async def read_hooks(self, session: Session) -> None:
        """Take in what the session's program has reported since the last time. An event is removed once it is kept."""
        if session.profile.hooks is None or not session.pid:
            return
        spool = self.spools.of(session.id)
        async with session.spooling:
            if session.end_is_told:
                return
            found = await asyncio.to_thread(spool.read, session.sighting.hooks_seen)
            for each in found:
                self._observe_hook(session, each)
            if found:
                await self.keep(session)
                await asyncio.to_thread(spool.drop, found[-1].ordinal)

    def _observe_hook(self, session: Session, spooled: Spooled) -> None:
        rules, event = session.profile.hooks, spooled.event
        if rules is None or event is None:
            return
        pid = own_program(
            event.ancestors,
            session.pid,
            rules.process or program_name(session.profile.launch.argv),
            known=session.sighting.program_pid,
            starts=event.means is Meaning.READY,
        )
        if pid is None:
            _log.info("foreign_hook", session_id=str(session.id), hook=event.name)
        else:
            session.observe(read_event(event, rules, ordinal=spooled.ordinal, pid=pid))
