"""How sessions begin, are watched, and end."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import structlog

from semo_agent.composing import Composing
from semo_agent.detector import describe_exit
from semo_agent.errors import (
    LaunchFailed,
    ProfileError,
    TabNotFound,
    TerminalDied,
    TerminalError,
    TerminalTimeout,
    UnknownProfile,
)
from semo_agent.host import Host
from semo_agent.office import Verdict
from semo_agent.output import last_rows, turn_output
from semo_agent.profiles.launch import prepare_launch
from semo_agent.profiles.profile import Profile, Profiles
from semo_agent.session import Session
from semo_agent.terminals.base import ExitStatus, LaunchSpec, Size
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import AgentCommand, CreateSession, GetOutput, SessionReport, SessionStatus, Terminate

ENDED_BY_OPERATOR: Final = "ended by an operator"
LAST_ROWS_SHOWN: Final = 5
ENDED_KEPT: Final = 20
"""Ended sessions whose output can still be read."""

_log = structlog.get_logger(__name__)


class Lifecycle:
    """Beginnings and ends of the sessions of one host."""

    def __init__(self, host: Host, composing: Composing) -> None:
        self._host = host
        self._composing = composing
        self._ended: list[Session] = []

    async def prepare(self, command: AgentCommand, wanted: CreateSession) -> Session:
        """The session of a create_session, known on this host from now on. Raises CommandError."""
        try:
            profile = await asyncio.to_thread(self._host.profiles.read, wanted.profile)
        except UnknownProfile as err:
            raise await self._never_begun(command, ErrorCode.INVALID_PAYLOAD, err) from err
        except ProfileError as err:
            raise await self._never_begun(command, ErrorCode.LAUNCH_FAILED, err) from err
        return self._host.sessions.find(command.session_id) or self._host.new_session(command.session_id, profile)

    async def begin(self, session: Session, wanted: CreateSession) -> Verdict:
        """Start the program and see its first prompt. Raises CommandError; then the session has ended."""
        async with session.lane:
            try:
                await self._open(session, wanted)
                await self._see_ready(session)
            except CommandError as err:
                await self._give_up(session, str(err))
                raise
        return Verdict(result={"tab_id": session.tab_id}, evidence={"source": session.sighting.source})

    async def terminate(self, session: Session, wanted: Terminate) -> Verdict:
        """End the program and close its tab; done when both are gone and the turn that ran has its result."""
        was_running = not session.sighting.over
        session.ending = session.ending or ENDED_BY_OPERATOR
        await self._close(session, wanted.grace_ms / 1000)
        await session.until(lambda: session.turn is None)
        return Verdict(result={"was_running": was_running})

    async def watch(self, session: Session) -> None:
        """Tell the office each change of the session, the last one included."""
        while not session.end_is_told:
            # At the timeout a title that was held back may be told. The end may be told with the result of a turn.
            with contextlib.suppress(TimeoutError):
                await session.until(lambda: session.news() is not None or session.end_is_told, session.news_later())
            await self._host.tell(session)
        await self._put_aside(session)

    async def keep(self, session: Session) -> None:
        """Keep each change of the session on disk."""
        while not session.end_is_told:
            kept = session.lasting_facts
            await self._host.keep(session)
            await session.until_kept_is_old(kept)

    async def forget_ended(self) -> None:
        """Close the tabs of ended sessions; their output can't be read any more."""
        while self._ended:
            await self._forget(self._ended.pop(0))

    async def _open(self, session: Session, wanted: CreateSession) -> None:
        # A terminate of the same moment finds either no tab, and none is opened any more, or the tab.
        async with session.writing:
            if session.sighting.over and (session.tab_id is None or session.ending):
                raise CommandError(ErrorCode.SESSION_EXITED)
            if session.tab_id is not None:
                return
            cwd = await self._working_folder(session)
            spool = self._host.spools.of(session.id)
            launched = await asyncio.to_thread(
                prepare_launch, session.profile, str(session.id), self._host.environment, spool
            )
            session.mark_id = launched.mark_id
            # Should this process end while it opens the tab, the next one knows whose marks count.
            await self._host.keep(session)
            spec = LaunchSpec(
                tag=str(session.id), argv=launched.argv, cwd=cwd, env=launched.env, size=Size(wanted.cols, wanted.rows)
            )
            try:
                tab = await self._host.terminal.open(spec)
            except (LaunchFailed, TerminalDied, TerminalTimeout) as err:
                raise CommandError(ErrorCode.LAUNCH_FAILED, str(err)) from err
            session.pid = tab.pid
            self._host.sessions.bind(session, tab.tab_id)
        # What it reported before we knew which process is its own.
        await self._host.read_hooks(session)
        await self._host.keep(session)

    async def _working_folder(self, session: Session) -> str:
        row = await self._host.office.session(session.id)
        if row is None:
            raise CommandError(ErrorCode.SESSION_NOT_FOUND)
        if row.status is SessionStatus.TERMINATED:
            raise CommandError(ErrorCode.SESSION_EXITED)
        folder = Path(row.cwd)
        if not folder.is_absolute():
            raise CommandError(ErrorCode.INVALID_PAYLOAD, f"The folder {row.cwd!r} is not an absolute path.")
        if not await asyncio.to_thread(folder.is_dir):
            raise CommandError(ErrorCode.INVALID_PAYLOAD, f"The folder {row.cwd} does not exist on this host.")
        return row.cwd

    async def _see_ready(self, session: Session) -> None:
        limit = session.profile.limits.start_timeout_ms / 1000
        try:
            if session.profile.screen is None:
                await session.until(lambda: session.sighting.composer is not None or session.sighting.over, limit)
            else:
                await self._composing.see_first(session, session.profile.screen, limit)
        except TimeoutError as err:
            said = await self._last_words(session)
            sentence = f"The program showed no prompt within {limit:g} s. {said}"
            raise CommandError(ErrorCode.LAUNCH_FAILED, sentence) from err
        if session.sighting.over:
            said = await self._last_words(session)
            sentence = f"Before its first prompt {session.sighting.reason}. {said}"
            raise CommandError(ErrorCode.LAUNCH_FAILED, sentence)

    async def _last_words(self, session: Session) -> str:
        try:
            rows = await last_rows(self._host.terminal, session.tab_id or "", GetOutput(lines=LAST_ROWS_SHOWN))
        except (TabNotFound, TerminalDied):
            return ""
        return f"It said last: {rows['output']}" if rows["output"] else "It said nothing."

    async def _give_up(self, session: Session, reason: str) -> None:
        session.ending = session.ending or reason.splitlines()[0]
        await self._close(session, grace=1.0)

    async def _close(self, session: Session, grace: float) -> None:
        if session.tab_id is None:
            # It may be on its way: whoever opens it holds this lock and looks whether the session has ended.
            async with session.writing:
                tab_id = session.tab_id
        else:
            tab_id = session.tab_id
        exit_status = ExitStatus()
        if tab_id is not None:
            await self._take_parting_output(session, tab_id)
            exit_status = await self._close_tab(tab_id, grace) or exit_status
        session.end(exit_status, session.ending or describe_exit(exit_status))

    async def _close_tab(self, tab_id: str, grace: float) -> ExitStatus | None:
        try:
            return await self._host.terminal.close(tab_id, grace=grace)
        except (TabNotFound, TerminalDied):
            return None

    async def _take_parting_output(self, session: Session, tab_id: str) -> None:
        """What the turn printed so far: with the tab its text goes away."""
        facts = session.sighting.turn
        if session.turn is None or facts is None or facts.number != session.turn.number:
            return
        try:
            session.parting_output = await turn_output(self._host.terminal, tab_id, session.turn, facts)
        except (TabNotFound, TerminalDied):
            return

    async def _put_aside(self, session: Session) -> None:
        """An ended session can still be read for a while; the agent's next start does not see it any more."""
        async with session.keeping:
            await asyncio.to_thread(self._host.records.remove, session.id)
        async with session.spooling:
            await asyncio.to_thread(self._host.spools.of(session.id).remove)
        self._ended.append(session)
        if len(self._ended) > ENDED_KEPT:
            await self._forget(self._ended.pop(0))

    async def _forget(self, session: Session) -> None:
        self._host.sessions.remove(session)
        if session.tab_id is None:
            return
        try:
            await self._close_tab(session.tab_id, grace=0.0)
        except TerminalError as err:
            _log.warning("tab_not_closed", session_id=str(session.id), error=type(err).__name__)

    async def _never_begun(self, command: AgentCommand, code: ErrorCode, err: ProfileError) -> CommandError:
        report = SessionReport(status=SessionStatus.TERMINATED, status_source="launch", reason=str(err))
        await self._host.office.report_session(command.session_id, report)
        return CommandError(code, str(err))


def profile_or_fallback(profiles: Profiles, name: str) -> Profile:
    """The profile of a session that lives already; `shell` where its file is gone meanwhile. Blocking."""
    try:
        return profiles.read(name)
    except ProfileError as err:
        _log.warning("profile_gone", profile=name, error=str(err))
        return profiles.read("shell")
