"""`semo up`: from nothing to a session that is ready, each step only where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category

from semo_console.cli.actions.folder import current_folder
from semo_console.cli.interruption import held_back
from semo_console.errors import ConsoleError, ProcessFailed, UnreadableInput
from semo_console.installed_agent import is_installed, start_installed
from semo_console.processes import Process, Processes, ProcessName
from semo_console.supervisor.client import SupervisorClient, stop_supervisor
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder

if TYPE_CHECKING:
    from semo_console.cli.actions.furnishing import Ready

DEFAULT_PORT = 54321
OFFICE_NAME_MAX = 100


def start_up(
    state_dir: Path | None,
    *,
    office_name: str | None,
    port: int | None,
    terminal: str,
    server: bool,
    warm: str | None,
    headless: bool,
    as_json: bool,
) -> None:
    """Start or join what is needed for this folder, and print where it is. Raises ConsoleError, OfficeError."""
    folder = current_folder()
    name = checked_name(office_name or folder.name or "/")
    sizes = _read_warm(warm)
    processes = Processes(StateFolder.find(state_dir).prepare())
    with processes.turn():
        ready = Startup(processes, folder, name, port, terminal, server, sizes).run()
    from semo_console.cli.actions.furnishing import tell, tell_json

    if as_json:
        tell_json(ready)
    else:
        tell(ready, headless)


def checked_name(name: str, option: str = "--office") -> str:
    """A name that an office may have. Raises UnreadableInput, which says by which option to choose another."""
    if not 1 <= len(name) <= OFFICE_NAME_MAX:
        raise UnreadableInput(f"An office's name has 1 to {OFFICE_NAME_MAX} characters; choose one with {option}.")
    if any(category(sign) == "Cc" for sign in name):
        raise UnreadableInput(f"An office's name is one line without control characters; choose one with {option}.")
    return name


def _read_warm(warm: str | None) -> dict[str, int]:
    """Before anything starts: what can't be read leaves nothing behind."""
    if warm is None:
        return {}
    from semo_console.cli.actions.pool import read_sizes

    return read_sizes(warm.split(","))


@dataclass
class Startup:
    """One `semo up`. What it started itself it stops again when a later step fails."""

    processes: Processes
    folder: Path
    office_name: str
    port: int | None
    terminal: str
    server: bool
    warm: dict[str, int]
    _supervisor: SupervisorClient | None = None

    def run(self) -> "Ready":
        try:
            supervisor = self._join_or_start()
            # The libraries of an office take as long to load as both services to come up: at the same time.
            from semo_console.cli.actions.furnishing import furnish

            self._check_port(_see_running(supervisor, "hub"))
            agent = self._see_agent(supervisor)
            self._check_terminal(agent)
            with _step("prepare the office"):
                return furnish(self.processes, agent, self.folder, self.office_name, self.warm)
        except BaseException:
            if self._supervisor:
                self._supervisor.abandon()
            raise

    def _join_or_start(self) -> SupervisorClient:
        running = self.processes.settle("supervisor")
        if running and not self._is_at_the_wrong_port():
            return SupervisorClient.join(self.processes, running)
        if running:
            self._stop(running)
        port = DEFAULT_PORT if self.port is None else self.port
        with _step("start the supervisor"), held_back():
            # Known before an interruption can come: what is not known can't be stopped.
            self._supervisor = SupervisorClient.start(self.processes, self._services(port))
            return self._supervisor

    def _services(self, port: int) -> list[list[str]]:
        services = [["hub", "--port", str(port)]]
        if not is_installed(self.processes.state):
            services.append(["agent", "--terminal", self.terminal])
        return [*services, ["server"]] if self.server else services

    def _see_agent(self, supervisor: SupervisorClient) -> Process:
        """An agent that is installed belongs to the desktop session, and is started there."""
        if not is_installed(self.processes.state):
            return _see_running(supervisor, "agent")
        with _step("start the agent"):
            return start_installed(self.processes)

    def _is_at_the_wrong_port(self) -> bool:
        """A hub that can't run where it was told to is told anew; one that runs is left alone."""
        return bool(self.port) and self.processes.find("hub") is None

    def _stop(self, supervisor: Process) -> None:
        from semo_console.cli.actions.wording import remark

        stop_supervisor(self.processes, supervisor, warn=remark)

    def _check_port(self, hub: Process) -> None:
        """Joining a hub on another port than the one asked for would be a surprise."""
        if self.port and hub.url and not hub.url.endswith(f":{self.port}"):
            raise ConsoleError(f"The hub runs at {hub.url} already. `semo down` first, to give it another port.")

    def _check_terminal(self, agent: Process) -> None:
        if self.terminal not in ("auto", agent.terminal):
            raise ConsoleError(f"The agent uses {agent.terminal} already. `semo down` first, to choose another.")


def _see_running(supervisor: SupervisorClient, name: ProcessName) -> Process:
    with _step(f"start the {name}"):
        return supervisor.await_running(name)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """A failure inside says which step it was."""
    try:
        yield
    except (ConsoleError, OfficeError) as err:
        raise ProcessFailed(f"Could not {what}: {err}") from err
