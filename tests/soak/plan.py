"""What the clients are to send: made from a seed, the same every time."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

Kind = Literal["prompt", "text", "output", "cancel"]
WEIGHTS: dict[Kind, float] = {"prompt": 76, "text": 12, "output": 9, "cancel": 3}
TWICE_SHARE = 0.05
"""Commands that are written two times with the same id, as after a lost answer."""


@dataclass(frozen=True, slots=True)
class Item:
    """One command to send. `text` is unique in the whole soak; `twice`: it is written two times."""

    command_id: UUID
    session_id: UUID
    kind: Kind
    text: str
    twice: bool


def make_plan(dice: random.Random, sessions: Sequence[UUID], count: int, work_s: float, first: int = 0) -> list[Item]:
    """work_s: how long a turn takes at most. first: the number of the first nonce."""
    kinds = dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return [
        Item(
            command_id=UUID(int=dice.getrandbits(128), version=4),
            session_id=dice.choice(sessions),
            kind=kind,
            text=f"nonce-{number:06d}-한글 work={dice.uniform(0.0, work_s):.3f}",
            twice=dice.random() < TWICE_SHARE,
        )
        for number, kind in enumerate(kinds, first)
    ]


def write_plan(path: Path, items: Sequence[Item]) -> None:
    path.write_text("".join(json.dumps(asdict(item), default=str) + "\n" for item in items))


def read_plan(path: Path) -> list[Item]:
    return [_item(json.loads(line)) for line in path.read_text().splitlines()]


def _item(entry: dict[str, str]) -> Item:
    return Item(
        **{**entry, "command_id": UUID(entry["command_id"]), "session_id": UUID(entry["session_id"])}  # type: ignore[arg-type] # as it was written
    )
