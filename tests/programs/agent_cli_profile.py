"""The profile of the scripted agent CLI, for a user's folder of profiles."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

NAME = "agent_cli"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class AgentCli:
    """`log`: what it received, one JSON object a prompt. `start`: while there, how its starts go wrong."""

    log: Path
    start: Path

    def received(self) -> list[str]:
        """The prompts that arrived, in their order."""
        rows = self.log.read_text().splitlines() if self.log.exists() else []
        return [str(json.loads(row)["text"]) for row in rows]

    def starts_badly(self, how: Literal["exit", "hang", "trust"]) -> None:
        self.start.write_text(how)

    def starts_well(self) -> None:
        self.start.unlink(missing_ok=True)


def write_profile(profiles: Path, *, name: str = NAME, extra: str = "") -> AgentCli:
    """Write `NAME.toml` there; log and start are files beside the folder. extra: TOML at the end of it."""
    profiles.mkdir(parents=True, exist_ok=True)
    cli = AgentCli(profiles.parent / f"{name}.log", profiles.parent / f"{name}.start")
    text = (_HERE / "agent_cli.toml").read_text(encoding="utf-8").replace(f'name = "{NAME}"', f'name = "{name}"', 1)
    values = {"PYTHON": sys.executable, "PROGRAM": _HERE / "agent_cli.py", "LOG": cli.log, "START": cli.start}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    (profiles / f"{name}.toml").write_text(text + extra, encoding="utf-8")
    return cli
