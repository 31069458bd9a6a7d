"""What a profile says about a new session."""

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iterm2 import api_pb2

from semo_agent.terminals.base import Size

DEFAULT = "Default"


class UnknownProfile(Exception):
    """No profile has this name."""


class MissingSubstitution(Exception):
    """The command has a `$$NAME$$` that a person would be asked for."""


@dataclass(frozen=True)
class Profile:
    """Properties by the names that iTerm2 gives them."""

    properties: Mapping[str, Any] = field(default_factory=dict)

    def customized(self, changes: Iterable[api_pb2.ProfileProperty]) -> "Profile":
        """Raises ValueError when a value is not JSON."""
        changed = {change.key: json.loads(change.json_value) for change in changes}
        return Profile({**self.properties, **changed})

    @property
    def name(self) -> str:
        return str(self.properties.get("Name") or DEFAULT)

    @property
    def argv(self) -> list[str]:
        """The command in words. Raises `MissingSubstitution`."""
        if self.properties.get("Custom Command") not in ("Yes", "Custom Shell"):
            return [os.environ.get("SHELL") or "/bin/sh"]
        command = str(self.properties.get("Command") or "")
        if command.count("$$") >= 2:
            raise MissingSubstitution(command)
        return shlex.split(command) or ["/bin/sh"]

    @property
    def folder(self) -> str:
        if self.properties.get("Custom Directory") != "Yes":
            return os.environ["HOME"]
        return str(Path(str(self.properties.get("Working Directory") or "~")).expanduser())

    @property
    def size(self) -> Size:
        return Size(int(self.properties["Columns"]), int(self.properties["Rows"]))

    @property
    def history_limit(self) -> int | None:
        """Lines of scrollback; None is without end."""
        return None if self.properties["Unlimited Scrollback"] else max(int(self.properties["Scrollback Lines"]), 0)

    @property
    def closes_on_end(self) -> bool:
        return bool(self.properties["Close Sessions On End"])

    @property
    def asks_before_closing(self) -> bool:
        """1 is always; 2 asks only for jobs that are no shell, which every program of a session counts as here."""
        return int(self.properties["Prompt Before Closing 2"]) != 0

    @property
    def allows_titles(self) -> bool:
        return bool(self.properties["Allow Title Setting"])


_FACTORY = {
    "Name": DEFAULT,
    "Columns": 80,
    "Rows": 25,
    "Scrollback Lines": 1000,
    "Unlimited Scrollback": False,
    "Close Sessions On End": True,
    "Prompt Before Closing 2": 0,
    "Allow Title Setting": True,
    "Scrollback in Alternate Screen": True,
    "Custom Command": "No",
    "Custom Directory": "No",
}


class Profiles:
    """The profiles that a person has made."""

    def __init__(self, names: Iterable[str], defaults: Mapping[str, Any]) -> None:
        factory = {**_FACTORY, **defaults}
        self.all = {name: Profile({**factory, "Name": name, "Guid": f"GUID-OF-{name}"}) for name in (DEFAULT, *names)}

    def named(self, name: str) -> Profile:
        """The default one for no name. Raises `UnknownProfile`."""
        if (name or DEFAULT) not in self.all:
            raise UnknownProfile(name)
        return self.all[name or DEFAULT]
