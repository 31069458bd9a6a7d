"""`semo agent install|uninstall|logs`: the agent as a service of the desktop session."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, Protocol

from semo_console.cli.actions.wording import say
from semo_console.errors import ConsoleError, ProcessFailed
from semo_console.login_service import LoginService
from semo_office.locations import CONFIG_VARIABLE, StateFolder

_ANSWER_S: Final = 30.0
_NAME: Final = "semo-agent"
_KEPT: Final = ("PATH", "LANG", CONFIG_VARIABLE, "SEMO_SUPABASE_URL", "SEMO_SUPABASE_KEY", "IT2_SUITE", "IT2_APP_PATH")
"""Of this environment; SEMO_SUPABASE_KEY is the publishable one, which is in every client."""
_SECRET_KEY: Final = "sb_secret_"  # noqa: S105 - how such a key begins


class Manager(Protocol):
    """What starts services at a login. Every method raises ProcessFailed."""

    def path(self, name: str) -> Path:
        """Where it looks for a service."""

    def see_usable(self) -> None:
        """Raises ProcessFailed with what to do instead."""

    def text(self, service: LoginService) -> bytes: ...

    def load(self, name: str) -> None:
        """Start a service now and at every login; one that runs is replaced."""

    def unload(self, name: str) -> None:
        """Stop a service; one that does not run is no error."""

    def forget(self) -> None:
        """After its file was removed."""


class Launchd:
    """Of macOS. Its domain `gui/UID` is the desktop session."""

    def __init__(self, home: Path, uid: int) -> None:
        self._agents = home / "Library" / "LaunchAgents"
        self._domain = f"gui/{uid}"

    def path(self, name: str) -> Path:
        return self._agents / f"{name}.plist"

    def see_usable(self) -> None:
        _ask(
            ["launchctl", "print", self._domain], "Nobody is logged in at this Mac's screen; log in there, then again."
        )

    def text(self, service: LoginService) -> bytes:
        return service.to_plist()

    def load(self, name: str) -> None:
        self.unload(name)
        _ask(["launchctl", "enable", f"{self._domain}/{name}"], "launchd does not enable the agent.")
        _ask(["launchctl", "bootstrap", self._domain, str(self.path(name))], "launchd does not take the agent.")

    def unload(self, name: str) -> None:
        _run(["launchctl", "bootout", f"{self._domain}/{name}"])

    def forget(self) -> None:
        """It knows what is loaded only."""


class Systemd:
    """Of Linux: the user's own manager."""

    def __init__(self, config: Path) -> None:
        self._units = config / "systemd" / "user"

    def path(self, name: str) -> Path:
        return self._units / f"{name}.service"

    def see_usable(self) -> None:
        _ask(
            ["systemctl", "--user", "show-environment"],
            "There is no systemd for users here; `semo up` starts the agent, or start `semo agent` at your login.",
        )

    def text(self, service: LoginService) -> bytes:
        return service.to_unit().encode()

    def load(self, name: str) -> None:
        _ask(["systemctl", "--user", "daemon-reload"], "systemd does not read the unit.")
        _ask(["systemctl", "--user", "enable", f"{name}.service"], "systemd does not enable the agent.")
        _ask(["systemctl", "--user", "restart", f"{name}.service"], "systemd does not start the agent.")

    def unload(self, name: str) -> None:
        _run(["systemctl", "--user", "disable", "--now", f"{name}.service"])

    def forget(self) -> None:
        _run(["systemctl", "--user", "daemon-reload"])


def install_agent(state_dir: Path | None, terminal: str) -> None:
    """Start the agent now and at every login. Raises ConsoleError and OfficeError; then nothing is installed."""
    manager = manager_of_this_system()
    manager.see_usable()
    service = describe_service(StateFolder.find(state_dir).prepare(), terminal)
    path = manager.path(service.name)
    _write(path, manager.text(service))
    try:
        manager.load(service.name)
    except ProcessFailed:
        manager.unload(service.name)
        path.unlink()
        raise
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


def service_name(state: StateFolder) -> str:
    """One for each state folder; the user's own has no number."""
    from platformdirs import user_state_path

    if state.path == user_state_path("semo", appauthor=False):
        return _NAME
    return f"{_NAME}-{hashlib.sha256(os.fsencode(state.path)).hexdigest()[:8]}"


def manager_of_this_system(platform: str = sys.platform) -> Manager:
    if platform == "darwin":
        return Launchd(Path.home(), os.getuid())
    return Systemd(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"))


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)


def _ask(command: Sequence[str], complaint: str) -> None:
    """Run a command that has to work. Raises ProcessFailed with the complaint, and what it said itself."""
    said = _run(command)
    if said is not None:
        raise ProcessFailed(f"{complaint} ({said})" if said else complaint)


def _run(command: Sequence[str]) -> str | None:
    """What a command complained of; None where it worked."""
    if shutil.which(command[0]) is None:
        return f"no {command[0]}"
    try:
        ran = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} does not answer"
    return None if ran.returncode == 0 else ran.stderr.strip().partition("\n")[0]
