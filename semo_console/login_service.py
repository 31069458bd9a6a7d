"""The agent as a service of the desktop session: what launchd, or systemd, is told of it."""

import plistlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RETRY_S: Final = 10


@dataclass(frozen=True)
class LoginService:
    """A program that runs as long as its user is logged in. environment: nothing secret; the files can be read."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path

    def to_plist(self) -> bytes:
        """A LaunchAgent: it runs in the desktop session only, and is started again when it fails."""
        return plistlib.dumps(
            {
                "Label": self.name,
                "ProgramArguments": list(self.command),
                "EnvironmentVariables": dict(self.environment),
                "RunAtLoad": True,
                "KeepAlive": {"SuccessfulExit": False},
                "ThrottleInterval": RETRY_S,
                "LimitLoadToSessionType": "Aqua",
                "ProcessType": "Interactive",
                # The sessions outlive it.
                "AbandonProcessGroup": True,
                "StandardOutPath": str(self.log),
                "StandardErrorPath": str(self.log),
                "Umask": 0o077,
            }
        )

    def to_unit(self) -> str:
        """A unit of systemd's user manager."""
        environment = "\n".join(f"Environment={_quoted(f'{key}={self.environment[key]}')}" for key in self.environment)
        return f"""[Unit]
Description=SEMO's agent: runs sessions in the terminals of this host

[Service]
ExecStart={" ".join(_quoted(word, command=True) for word in self.command)}
{environment}
Restart=on-failure
RestartSec={RETRY_S}
# The sessions outlive it.
KillMode=process
UMask=0077
StandardOutput=append:{_escaped(str(self.log))}
StandardError=append:{_escaped(str(self.log))}

[Install]
WantedBy=default.target
"""


def _quoted(word: str, *, command: bool = False) -> str:
    """A word as systemd reads it back; in a command `$` begins a variable."""
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped.replace("$", "$$") if command else escaped}"'


def _escaped(text: str) -> str:
    """`%` begins a specifier of systemd."""
    return text.replace("%", "%%")
