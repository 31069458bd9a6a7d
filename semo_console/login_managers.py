"""What starts services at a login: launchd, and systemd's user manager."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from semo_console.errors import ProcessFailed
from semo_console.login_service import LoginService

_ANSWER_S: Final = 30.0


class Manager(Protocol):
    """What starts services at a login. Every method raises ProcessFailed."""

    def path(self, name: str) -> Path:
        """Where it looks for a service."""

    def see_usable(self) -> None:
        """Raises ProcessFailed with what to do instead."""

    def text(self, service: LoginService) -> bytes: ...

    def load(self, name: str) -> None:
        """Start a service now and at every login; one that runs is replaced."""

    def start(self, name: str) -> None:
        """Start a service that is loaded; one that runs is left alone."""

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

    def start(self, name: str) -> None:
        _ask(["launchctl", "kickstart", f"{self._domain}/{name}"], "launchd does not start the installed agent.")

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

    def start(self, name: str) -> None:
        _ask(["systemctl", "--user", "start", f"{name}.service"], "systemd does not start the installed agent.")

    def unload(self, name: str) -> None:
        _run(["systemctl", "--user", "disable", "--now", f"{name}.service"])

    def forget(self) -> None:
        _run(["systemctl", "--user", "daemon-reload"])


def manager_of_this_system(platform: str = sys.platform) -> Manager:
    if platform == "darwin":
        return Launchd(Path.home(), os.getuid())
    return Systemd(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"))


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
