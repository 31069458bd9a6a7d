"""`semo agent install|uninstall|logs`: the agent as a service of the desktop session."""

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from semo_console.cli.actions.wording import remark, say
from semo_console.errors import ConsoleError, ProcessFailed
from semo_console.installed_agent import service_name
from semo_console.login_managers import manager_of_this_system
from semo_console.login_service import LoginService
from semo_console.processes import Processes
from semo_office.locations import CONFIG_VARIABLE, StateFolder

_KEPT: Final = ("PATH", "LANG", CONFIG_VARIABLE, "SEMO_SUPABASE_URL", "SEMO_SUPABASE_KEY", "IT2_SUITE")
"""Of this environment; SEMO_SUPABASE_KEY is the publishable one, which is in every client."""
_SECRET_KEY: Final = "sb_secret_"  # noqa: S105 - how such a key begins


def install_agent(state_dir: Path | None, terminal: str) -> None:
    """Start the agent now and at every login. Raises ConsoleError and OfficeError; then nothing is installed."""
    manager = manager_of_this_system()
    manager.see_usable()
    state = StateFolder.find(state_dir).prepare()
    service, other = describe_service(state, terminal), Processes(state).find("agent")
    path = manager.path(service.name)
    _write(path, manager.text(service))
    try:
        manager.load(service.name)
    except ProcessFailed:
        manager.unload(service.name)
        path.unlink()
        raise
    if other and other.is_alive():
        remark("Another agent runs here still; after `semo down` and `semo up` it is the installed one.")
    say(f"The agent runs, and starts at every login. Its log: `semo agent logs`. ({path})")


def uninstall_agent(state_dir: Path | None) -> None:
    """Stop the installed agent and start it no more; none installed is no error."""
    manager, name = manager_of_this_system(), service_name(StateFolder.find(state_dir))
    path = manager.path(name)
    if not path.exists():
        say("The agent is not installed.")
        return
    manager.unload(name)
    path.unlink()
    manager.forget()
    say("The agent is not started any more; its sessions live on in their terminals.")


def show_log(state_dir: Path | None, *, lines: int, follow: bool) -> NoReturn:
    """Become `tail` of the agent's log. Raises ConsoleError when there is none."""
    log = StateFolder.find(state_dir).log_of("agent")
    if not log.exists():
        raise ConsoleError(f"The agent has written no log yet: {log} does not exist.")
    words = ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)]
    os.execvp(words[0], words)  # noqa: S606 - nothing of ours is left to be done


def describe_service(state: StateFolder, terminal: str) -> LoginService:
    """The agent of a state folder as a service. Raises ConsoleError for an environment with a secret key."""
    environment = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    if environment.get("SEMO_SUPABASE_KEY", "").startswith(_SECRET_KEY):
        raise ConsoleError("SEMO_SUPABASE_KEY is a secret key; the agent needs the publishable one.")
    command = (sys.executable, "-P", "-m", "semo_console", "agent", "--installed")
    chosen = ("--terminal", terminal, "--state-dir", str(state.path))
    return LoginService(service_name(state), (*command, *chosen), environment, state.log_of("agent"))


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
