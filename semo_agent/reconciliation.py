"""At the agent's start: what lives in the terminal against what the office believes."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Final
from uuid import UUID

import structlog

from semo_agent.detector import Sighting
from semo_agent.errors import ClaimLost, TerminalError
from semo_agent.host import Host
from semo_agent.journal import Entry, Phase
from semo_agent.keystrokes import verdict_on_text
from semo_agent.lifecycle import profile_or_fallback
from semo_agent.office import Claim, Verdict
from semo_agent.prompts import UNKNOWN_ARRIVAL
from semo_agent.records import SessionRecord
from semo_agent.session import Session, Turn
from semo_agent.terminals.base import TabInfo
from semo_agent.worker import Worker
from semo_office.errors import ErrorCode
from semo_office.models import AgentCommand, CommandType, SessionInfo, SessionReport, SessionStatus, Stage

TERMINAL_GONE: Final = "the terminal is gone"
LAST_WORDS_S: Final = 10.0

_GONE: Final = Verdict(error=ErrorCode.SESSION_EXITED, message=f"The session ended: {TERMINAL_GONE}.")

_log = structlog.get_logger(__name__)


class Reconciliation:
    """Adopts what lives on, buries what does not, and gives back what had only been claimed."""

    def __init__(self, host: Host, worker: Worker) -> None:
        self._host = host
        self._worker = worker
        self._remembered: set[UUID] = set()

    async def run(self) -> None:
        """Before the first claim: what may have been typed is claimed as such before anything can be given back."""
        tabs = {tab.tag: tab for tab in await self._host.terminal.list()}
        records = await asyncio.to_thread(self._host.records.read_all)
        begun = await self._host.office.begun_commands()
        rows = await self._host.office.sessions()
        for row in rows:
            if (tab := tabs.pop(str(row.session_id), None)) is not None:
                await self._adopt(row, tab, records.pop(row.session_id, None))
                if row.status is SessionStatus.CREATING and tab.exit is not None:
                    await self._finish_creation(row, begun)
        await self._close_strays(list(tabs.values()))
        for session_id in records:
            await asyncio.to_thread(self._host.records.remove, session_id)
        await asyncio.to_thread(self._host.spools.remove_all_but, [session.id for session in self._host.sessions])
        await self._settle_typed({command.id: command for command in begun})
        # Before any end of a session is told: with it ends what waits, and nothing is left to wait in an ended session.
        await self._host.office.give_back()
        await self._bury_lost([row for row in rows if self._host.sessions.find(row.session_id) is None], begun)
        # Not before their turns are known: the end of a session is told together with the result of its turn.
        for session in self._host.sessions:
            self._worker.look_after(session)

    async def _adopt(self, row: SessionInfo, tab: TabInfo, record: SessionRecord | None) -> None:
        profile = await asyncio.to_thread(profile_or_fallback, self._host.profiles, row.profile)
        session = self._host.new_session(row.session_id, profile)
        if record is not None and record.tab_id in (None, tab.tab_id):
            session.restore(record.sighting, record.mark_id)
            self._remembered.add(session.id)
        else:
            # What the office knows, and what the last marks say. Whose marks they are is not known.
            began = row.status is not SessionStatus.CREATING
            session.restore(Sighting(row.status, source="adoption", since=self._host.clock(), announced=began), None)
        # Marks that an earlier process had read but not kept; those that it had change nothing.
        for mark in await self._host.terminal.marks(tab.tab_id):
            session.observe(mark)
        session.pid = tab.pid
        await self._host.read_hooks(session)
        session.reported(_known_of(row))
        self._host.sessions.bind(session, tab.tab_id)
        _log.info("adopted", session_id=str(row.session_id), with_record=record is not None)

    async def _settle_typed(self, begun: Mapping[UUID, AgentCommand]) -> None:
        """Bring each command of the journal to its end where the office waits for it; drop what is over."""
        entries = await self._host.journal.entries()
        await self._fail_unexplained(begun, {entry.command_id for entry in entries})
        waiting = await self._waiting_among(entries)
        for entry in entries:
            session = self._host.sessions.find(entry.session_id)
            if session is not None and entry.turn is not None and entry.phase is Phase.TYPING:
                self._worker.clear_composer(session)
            if (command := begun.get(entry.command_id)) is not None and command.claim_token is not None:
                await self._settle(session, entry, Claim(command.id, command.claim_token))
            elif entry.command_id not in waiting:
                self._host.journal.forget(entry.command_id)

    async def _finish_creation(self, row: SessionInfo, begun: Sequence[AgentCommand]) -> None:
        """A program that ended unseen before its first prompt: whoever started it learns how."""
        session = self._host.sessions.find(row.session_id)
        for command in begun:
            is_creation = command.command_type is CommandType.CREATE_SESSION and command.session_id == row.session_id
            if session is not None and is_creation and command.claim_token is not None:
                # Its last words are read before they are quoted.
                with contextlib.suppress(TimeoutError):
                    await session.until(lambda: session.sighting.over, LAST_WORDS_S)
                claim = Claim(command.id, command.claim_token)
                await self._worker.conclude(row.session_id, claim, self._worker.create_session(command))

    async def _fail_unexplained(self, begun: Mapping[UUID, AgentCommand], typed: Set[UUID]) -> None:
        """Begun beyond its claim, and not in the journal: its turn can't be found any more, but its lane goes on."""
        for command in begun.values():
            lives = self._host.sessions.find(command.session_id) is not None
            if lives and command.stage is not Stage.CLAIMED and command.id not in typed:
                await self._fail(command, Verdict(error=ErrorCode.INDETERMINATE, message=UNKNOWN_ARRIVAL))

    async def _waiting_among(self, entries: Sequence[Entry]) -> set[UUID]:
        """What the office has taken back of it: it is handed out once more, and the journal knows it then."""
        if not entries:
            return set()
        sessions = sorted({entry.session_id for entry in entries})
        return {command.id for command in await self._host.office.waiting_commands(sessions)}

    async def _settle(self, session: Session | None, entry: Entry, claim: Claim) -> None:
        if session is None:
            await self._worker.conclude(
                entry.session_id, claim, _failed(ErrorCode.SESSION_EXITED, f"The session ended: {TERMINAL_GONE}.")
            )
        elif entry.turn is None:
            await self._worker.conclude(session.id, claim, _verdict_on_text(entry))
        elif entry.phase is Phase.TYPING or session.id not in self._remembered:
            await self._worker.conclude(session.id, claim, _failed(ErrorCode.INDETERMINATE, UNKNOWN_ARRIVAL))
        else:
            await self._follow(session, replace(entry.turn, claim=claim))

    async def _follow(self, session: Session, turn: Turn) -> None:
        try:
            await self._worker.adopt_turn(session, turn)
        except ClaimLost as err:
            _log.info("turn_ended_elsewhere", session_id=str(session.id), why=str(err))
            session.change_turn(None)

    async def _bury_lost(self, rows: Sequence[SessionInfo], begun: Sequence[AgentCommand]) -> None:
        to_come = await self._sessions_to_come(rows, begun)
        for row in rows:
            if row.session_id in to_come:
                continue
            report = SessionReport(status=SessionStatus.TERMINATED, status_source="adoption", reason=TERMINAL_GONE)
            await self._host.office.report_session(row.session_id, report)
            for command in begun:
                if command.session_id == row.session_id and command.stage is not Stage.CLAIMED:
                    await self._fail(command, _GONE)
            _log.info("buried", session_id=str(row.session_id))

    async def _sessions_to_come(self, rows: Sequence[SessionInfo], begun: Sequence[AgentCommand]) -> set[UUID]:
        """Sessions that have no terminal yet: their create_session waits, or is about to be given back."""
        creating = [row.session_id for row in rows if row.status is SessionStatus.CREATING]
        waiting = await self._host.office.waiting_commands(creating) if creating else ()
        return {
            command.session_id
            for command in (*begun, *waiting)
            if command.command_type is CommandType.CREATE_SESSION and command.session_id in creating
        }

    async def _fail(self, command: AgentCommand, verdict: Verdict) -> None:
        if command.claim_token is None:
            return
        try:
            await self._host.office.complete(Claim(command.id, command.claim_token), verdict)
        except ClaimLost as err:
            _log.info("command_ended_elsewhere", command_id=str(command.id), why=str(err))

    async def _close_strays(self, tabs: Sequence[TabInfo]) -> None:
        """Tabs of sessions that the office says have ended."""
        for tab in tabs:
            try:
                await self._host.terminal.close(tab.tab_id)
            except TerminalError as err:
                _log.warning("stray_tab_not_closed", tag=tab.tag, error=type(err).__name__)


async def _failed(code: ErrorCode, message: str) -> Verdict:
    return Verdict(error=code, message=message)


async def _verdict_on_text(entry: Entry) -> Verdict:
    return verdict_on_text(entry)


def _known_of(row: SessionInfo) -> SessionReport:
    return SessionReport(status=row.status, reason=row.reason, title=row.title, iterm_tab_id=row.iterm_tab_id)
