"""`semo up`: from nothing to a session that is ready, each step only where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from semo_console.cli.actions.folder import current_folder
from semo_console.errors import ConsoleError, ProcessFailed, UnreadableInput
from semo_console.supervise import Launch, Service, ServiceName, Supervisor
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder

if TYPE_CHECKING:
    from semo_console.cli.actions.furnishing import Ready

DEFAULT_PORT = 54321
OFFICE_NAME_MAX = 100


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
    from semo_console.cli.actions.furnishing import tell, tell_json

    if as_json:
        tell_json(ready)
    else:
        tell(ready, headless)


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
    _launched: list[Launch] = field(default_factory=list)

    def run(self) -> "Ready":
        try:
            hub = self._join_or_launch("hub", "--port", str(DEFAULT_PORT if self.port is None else self.port))
            agent = self._join_or_launch("agent")
            # The libraries of an office take as long to load as both services to come up: at the same time.
            from semo_console.cli.actions.furnishing import furnish

            self._check_port(self._see_ready(hub))
            serving_agent = self._see_ready(agent)
            with _step("prepare the office"):
                return furnish(self.supervisor, serving_agent, self.folder, self.office_name)
        except BaseException:
            self._undo()
            raise

    def _join_or_launch(self, name: ServiceName, *arguments: str) -> Service | Launch:
        if running := self.supervisor.find(name):
            return running
        with _step(f"start the {name}"):
            launch = self.supervisor.launch(name, *arguments)
        self._launched.append(launch)
        return launch

    def _see_ready(self, service: Service | Launch) -> Service:
        if isinstance(service, Service):
            return service
        with _step(f"start the {service.name}"):
            return self.supervisor.await_ready(service)

    def _check_port(self, hub: Service) -> None:
        """Joining a hub on another port than the one asked for would be a surprise."""
        if self.port and hub.url and not hub.url.endswith(f":{self.port}"):
            raise ConsoleError(f"The hub runs at {hub.url} already. `semo down` first, to give it another port.")

    def _undo(self) -> None:
        for launch in reversed(self._launched):
            self.supervisor.abandon(launch)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """A failure inside says which step it was."""
    try:
        yield
    except (ConsoleError, OfficeError) as err:
        raise ProcessFailed(f"Could not {what}: {err}") from err
