"""The events of a session's program on disk, from the hook that wrote them to the agent that has taken them in."""

import contextlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from semo_agent.hooks import program
from semo_agent.hooks.ancestry import Ancestor
from semo_agent.profiles.hooks import HookEvent, HookRules, Meaning

HOOK_TIMEOUT_S: Final = 5

_log = structlog.get_logger(__name__)


class SpooledEvent(BaseModel):
    """One event as the hook wrote it."""

    model_config = ConfigDict(frozen=True)

    means: Meaning
    name: str
    ancestors: tuple[Ancestor, ...]
    input: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Spooled:
    """`ordinal`: its place in the order of the session's events. `event`: None where the file can't be understood."""

    ordinal: int
    event: SpooledEvent | None


class Spools:
    """`hooks/ID/` in the agent's folder for each session whose program has hooks, 0700. All methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, and the bell that hooks ring in it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.bell.is_fifo():
            self.bell.unlink(missing_ok=True)
            os.mkfifo(self.bell, 0o600)

    @property
    def bell(self) -> Path:
        return self.folder / "bell"

    def of(self, session_id: UUID) -> "Spool":
        return Spool(self.folder / str(session_id))

    def remove_all_but(self, session_ids: Sequence[UUID]) -> None:
        """What ended while no agent ran left its folder."""
        kept = {str(session_id) for session_id in session_ids}
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


class Spool:
    """The events of one session. All methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings(self) -> Path:
        return self.folder / "settings.json"

    def attach(self, rules: HookRules) -> Mapping[str, str]:
        """Write the settings that a launch is given; returns what its environment needs besides."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.settings, "w", encoding="utf-8", opener=program.private) as file:
            json.dump(settings_of(rules), file)
        return {program.FOLDER_VARIABLE: str(self.folder)}

    def read(self, after: int) -> list[Spooled]:
        """The events after this ordinal, in their order."""
        return [_read(path) for path in self._events() if int(path.stem) > after]

    def drop(self, up_to: int) -> None:
        """Remove the events up to this ordinal: they are taken in and kept otherwise."""
        for path in self._events():
            if int(path.stem) <= up_to:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _events(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.json") if path.stem.isdigit())


def settings_of(rules: HookRules) -> dict[str, JsonValue]:
    """The settings that attach the hooks, in the form that Claude Code reads."""
    hooks: dict[str, list[JsonValue]] = {}
    for event in rules.events:
        matcher: dict[str, JsonValue] = {} if event.matcher is None else {"matcher": event.matcher}
        command: JsonValue = {"type": "command", "command": _command(event), "timeout": HOOK_TIMEOUT_S}
        hooks.setdefault(event.name, []).append({**matcher, "hooks": [command]})
    return {"hooks": {name: list(attached) for name, attached in hooks.items()}}


def _command(event: HookEvent) -> str:
    """Run by the CLI's shell."""
    return shlex.join([sys.executable, "-I", "-S", str(program.__file__), event.means.value, event.name])


def _read(path: Path) -> Spooled:
    event = None
    with contextlib.suppress(FileNotFoundError):
        try:
            event = SpooledEvent.model_validate_json(path.read_bytes())
        except ValidationError as err:
            _log.warning("hook_event_unreadable", file=path.name, faults=err.error_count())
    return Spooled(int(path.stem), event)
