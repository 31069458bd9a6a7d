"""The office of a folder, made where it is missing, with a session that is ready."""

import signal
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import JsonValue

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import describe_session, print_json, say
from semo_console.errors import ConsoleError, ProcessFailed
from semo_console.processes import Process, Processes
from semo_office.commands import OutcomeKind
from semo_office.config import CredentialsFile
from semo_office.locations import StateFolder
from semo_office.models import CreateSession, Office, SessionInfo, SessionStatus
from semo_office.pool import PoolConfig, PoolStore

SESSION_READY_S = 60.0

_HOME_PROFILE = "shell"


@dataclass(frozen=True)
class Ready:
    """What `semo up` leads to. `session` None: the office is archived, and nothing is begun in it."""

    state: StateFolder
    url: str
    publishable_key: str
    office: Office
    session: SessionInfo | None

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "url": self.url,
            "publishable_key": self.publishable_key,
            "office_id": str(self.office.id),
            "session_id": None if self.session is None else str(self.session.session_id),
            "state_dir": str(self.state.path),
        }


def furnish(processes: Processes, agent: Process, folder: Path, office_name: str, warm: dict[str, int]) -> Ready:
    """Office, host and session of this folder, each only where it is missing. Raises ConsoleError, OfficeError.

    warm: how many sessions wait ready for jobs, by role; what is not named stays as it is.
    """
    return at_desk(processes.state, lambda desk: Furnishing(processes, desk).run(agent, folder, office_name, warm))


@dataclass(frozen=True)
class Furnishing:
    """One pass over what an office needs."""

    processes: Processes
    desk: OperatorDesk

    async def run(self, agent: Process, folder: Path, office_name: str, warm: dict[str, int]) -> Ready:
        office = await self.open_office(agent, folder, office_name)
        if warm:
            await PoolStore(self.desk.link).set_pool(office.id, PoolConfig(warm_pool_size=warm))
        session = await self._find_or_create_session(office) if office.archived_at is None else None
        credentials = CredentialsFile(self.processes.state, "operator")()
        return Ready(self.processes.state, credentials.url, credentials.publishable_key, office, session)

    async def open_office(self, agent: Process, folder: Path, office_name: str) -> Office:
        """The office of this folder, with this machine's server and agent in it."""
        office = await self.desk.offices.create_office(office_name, str(folder))
        await self.desk.offices.admit_server(office.id, self._server_id())
        await self._attach(office, agent)
        return office

    async def _attach(self, office: Office, agent: Process) -> None:
        if agent.host_id is None:
            raise ProcessFailed("The agent does not say which host it is. `semo down`, then `semo up` again.")
        placed = await self.desk.offices.hosts(office.id)
        if all(host.host.id != agent.host_id for host in placed):
            await self.desk.offices.attach_host(office.id, agent.host_id, office.repo_path)
            agent.signal(signal.SIGHUP)

    def _server_id(self) -> UUID:
        return UUID(CredentialsFile(self.processes.state, "server")().user_id)

    async def _find_or_create_session(self, office: Office) -> SessionInfo:
        every = await self.desk.sessions.get_sessions_by_office(office.id)
        # What the pool has made is for jobs.
        live = [session for session in every if session.pool_state is None]
        if not live:
            return await _create_session(self.desk, office)
        ready = [session for session in live if session.status is SessionStatus.READY]
        return (ready or live)[0]


async def _create_session(desk: OperatorDesk, office: Office) -> SessionInfo:
    request = CreateSession(profile=_HOME_PROFILE, role=_HOME_PROFILE)
    outcome = await desk.dispatcher(office.id).dispatch_create_session(request, timeout=SESSION_READY_S)
    if outcome.kind is OutcomeKind.STILL_WAITING:
        raise ConsoleError(f"the first session was not ready within {SESSION_READY_S:.0f} s.")
    if outcome.result is not None and not outcome.result.success:
        raise ConsoleError(outcome.result.message or str(outcome.result.error))
    return await _session(desk, outcome.command.session_id)


async def _session(desk: OperatorDesk, session_id: UUID) -> SessionInfo:
    session = await desk.sessions.get_session(session_id)
    if session is None:
        raise ConsoleError(f"the session {session_id} can't be seen by its own operator.")
    return session


def tell(ready: Ready, headless: bool) -> None:
    """Print where it is, and without a console what to type next."""
    say(f"SEMO runs for {ready.office.name} ({ready.office.repo_path}).")
    if ready.session is None:
        say("The office is archived: `semo office restore` opens it again.")
        return
    say(f"Session {describe_session(ready.session)}.")
    if headless:
        return
    say("")
    say("Next:")
    say("  semo send --wait 'echo hi'    send a prompt and see what came of it")
    say("  semo status                   what runs")
    say("  semo down                     stop; sessions live on in their terminals")
    say("  semo                          the console")


def tell_json(ready: Ready) -> None:
    """Print it as one line of JSON."""
    print_json(ready.to_json())
