"""`semo up`: from nothing to a session that is ready, each step only where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from pydantic import JsonValue

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.targets import current_folder
from semo_console.cli.actions.wording import describe_session, print_json, remark, say
from semo_console.errors import ConsoleError, ProcessFailed, UnreadableInput
from semo_console.supervise import Service, ServiceName, Supervisor
from semo_office.commands import OutcomeKind
from semo_office.config import CredentialsFile
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.models import CreateSession, Office, SessionInfo, SessionStatus

DEFAULT_PORT = 54321
OFFICE_NAME_MAX = 100
SESSION_READY_S = 60.0

_HOME_PROFILE = "shell"


@dataclass(frozen=True)
class Ready:
    """What `semo up` leads to."""

    state: StateFolder
    url: str
    publishable_key: str
    office: Office
    session: SessionInfo

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "url": self.url,
            "publishable_key": self.publishable_key,
            "office_id": str(self.office.id),
            "session_id": str(self.session.session_id),
            "state_dir": str(self.state.path),
        }


def start_up(
    state_dir: Path | None, *, office_name: str | None, port: int | None, headless: bool, as_json: bool
) -> None:
    """Start or join what is needed for this folder, and print where it is. Raises ConsoleError, OfficeError."""
    folder = current_folder()
    name = _checked_name(office_name or folder.name or "/")
    state = StateFolder.find(state_dir).prepare()
    supervisor = Supervisor(state)
    with supervisor.turn():
        ready = Startup(supervisor, folder, name, port).run()
    if as_json:
        print_json(ready.to_json())
    else:
        _tell(ready, headless)


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= OFFICE_NAME_MAX:
        raise UnreadableInput(f"An office's name has 1 to {OFFICE_NAME_MAX} characters; choose one with --office.")
    return name


@dataclass
class Startup:
    """One `semo up`. What it started itself it stops again when a later step fails."""

    supervisor: Supervisor
    folder: Path
    office_name: str
    port: int | None
    _started: list[Service] = field(default_factory=list)

    def run(self) -> Ready:
        try:
            hub = self._join_or_start("hub", "--port", str(DEFAULT_PORT if self.port is None else self.port))
            self._check_port(hub)
            agent = self._join_or_start("agent")
            with _step("prepare the office"):
                return at_desk(self.supervisor.state, lambda desk: self._furnish(desk, agent))
        except BaseException:
            self._undo()
            raise

    def _join_or_start(self, name: ServiceName, *arguments: str) -> Service:
        if running := self.supervisor.find(name):
            return running
        with _step(f"start the {name}"):
            service = self.supervisor.start(name, *arguments)
        self._started.append(service)
        return service

    def _check_port(self, hub: Service) -> None:
        """Joining a hub on another port than the one asked for would be a surprise."""
        if self.port and hub.url and not hub.url.endswith(f":{self.port}"):
            raise ConsoleError(f"The hub runs at {hub.url} already. `semo down` first, to give it another port.")

    async def _furnish(self, desk: OperatorDesk, agent: Service) -> Ready:
        office = await desk.offices.create_office(self.office_name, str(self.folder))
        await self._attach(desk, office, agent)
        session = await self._find_or_create_session(desk, office)
        credentials = CredentialsFile(self.supervisor.state, "operator")()
        return Ready(self.supervisor.state, credentials.url, credentials.publishable_key, office, session)

    async def _attach(self, desk: OperatorDesk, office: Office, agent: Service) -> None:
        if agent.host_id is None:
            raise ProcessFailed("The agent does not say which host it is. `semo down`, then `semo up` again.")
        placed = await desk.offices.hosts(office.id)
        if all(host.host.id != agent.host_id for host in placed):
            await desk.offices.attach_host(office.id, agent.host_id, str(self.folder))
            self.supervisor.reload(agent)

    async def _find_or_create_session(self, desk: OperatorDesk, office: Office) -> SessionInfo:
        live = await desk.sessions.get_sessions_by_office(office.id)
        if not live:
            return await _create_session(desk, office)
        ready = [session for session in live if session.status is SessionStatus.READY]
        return (ready or live)[0]

    def _undo(self) -> None:
        for service in reversed(self._started):
            self.supervisor.stop(service, warn=remark)


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


@contextmanager
def _step(what: str) -> Iterator[None]:
    """A failure inside says which step it was."""
    try:
        yield
    except (ConsoleError, OfficeError) as err:
        raise ProcessFailed(f"Could not {what}: {err}") from err


def _tell(ready: Ready, headless: bool) -> None:
    say(f"SEMO runs for {ready.office.name} ({ready.office.repo_path}).")
    say(f"Session {describe_session(ready.session)}.")
    if headless:
        return
    say("")
    say("Next:")
    say("  semo send --wait 'echo hi'    send a prompt and see what came of it")
    say("  semo status                   what runs")
    say("  semo down                     stop; sessions live on in their terminals")
    say("The console is not built yet; these verbs are all there is.")
