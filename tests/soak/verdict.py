"""What a soak proves, from three sources that know nothing of each other: terminals, database, clients."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tests.soak.plan import Item
from tests.soak.terminal import read_tab

TYPED_KINDS: Final = ("prompt", "text")
# How a command of a living session may end without having been done.
FAIR_FAILURES: Final = {"indeterminate", "cancelled", "host_offline", "session_exited"}


@dataclass
class Verdict:
    """Each list names what broke; empty lists are what a soak is for."""

    commands: int = 0
    settled: int = 0
    lost: list[str] = field(default_factory=list)
    typed_twice: list[str] = field(default_factory=list)
    done_but_not_typed: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    shared_lane: list[str] = field(default_factory=list)
    told_wrong: list[str] = field(default_factory=list)
    unfair: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> dict[str, list[str]]:
        names = ("lost", "typed_twice", "done_but_not_typed", "out_of_order", "shared_lane", "told_wrong", "unfair")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def table(self) -> list[str]:
        return [
            f"commands {self.commands}, settled {self.settled}",
            f"lost {len(self.lost)}, typed twice {len(self.typed_twice)}, out of order {len(self.out_of_order)}, "
            f"lanes shared {len(self.shared_lane)}",
            f"done but not typed {len(self.done_but_not_typed)}, told wrong {len(self.told_wrong)}, "
            f"unfair failures {len(self.unfair)}",
            f"errors: {dict(self.errors) or 'none'}",
        ]


def judge(
    items: Sequence[Item],
    rows: Iterable[Mapping[str, Any]],
    lane_steps: Iterable[Mapping[str, Any]],
    terminals: Iterable[Path],
    told: Iterable[Path],
) -> Verdict:
    """What is true of these commands.

    rows: the commands with `id, sequence, status, error`; lane_steps: the events of those that go through a lane, in
    order, with `session_id, command_id, stage`; terminals: folders; told: what clients wrote down.
    """
    by_id = {row["id"]: row for row in rows}
    typed = typed_texts(terminals)
    verdict = Verdict(commands=len(items))
    for item in items:
        _judge_one(verdict, item, by_id.get(item.command_id), Counter(typed.get(item.session_id, ()))[item.text])
    _judge_order(verdict, items, by_id, typed)
    _judge_lanes(verdict, lane_steps)
    _judge_told(verdict, items, by_id, told)
    return verdict


def typed_texts(folders: Iterable[Path]) -> dict[UUID, list[str]]:
    """What each session's program was given, in order."""
    texts: dict[UUID, list[str]] = defaultdict(list)
    for folder in folders:
        for path in folder.glob("*.jsonl"):
            tab = read_tab(path)
            texts[UUID(tab.info.tag)] += [submitted.text for submitted in tab.program.submitted]
    return texts


def _judge_one(verdict: Verdict, item: Item, row: Mapping[str, Any] | None, times: int) -> None:
    about = f"{item.kind} {item.command_id}"
    if row is None or row["status"] not in ("completed", "failed"):
        verdict.lost.append(f"{about}: {row['status'] if row else 'never written'}")
        return
    if row["error"]:
        verdict.errors[row["error"]] += 1
    if item.kind not in TYPED_KINDS:
        return
    if times > 1:
        verdict.typed_twice.append(f"{about}: {times} times")
    if row["status"] == "completed" and times == 0:
        verdict.done_but_not_typed.append(about)
    if row["error"] and row["error"] not in FAIR_FAILURES:
        verdict.unfair.append(f"{about}: {row['error']}")


def _judge_order(
    verdict: Verdict,
    items: Sequence[Item],
    by_id: Mapping[UUID, Mapping[str, Any]],
    typed: Mapping[UUID, Sequence[str]],
) -> None:
    sequence = {item.text: by_id[item.command_id]["sequence"] for item in items if item.command_id in by_id}
    for session_id, texts in typed.items():
        numbers = [sequence[text] for text in texts if text in sequence]
        if numbers != sorted(numbers):
            verdict.out_of_order.append(str(session_id))


def _judge_lanes(verdict: Verdict, steps: Iterable[Mapping[str, Any]]) -> None:
    """From its claim to its acceptance a command has the lane for itself."""
    holders: dict[UUID, UUID] = {}
    for step in steps:
        holder = holders.get(step["session_id"])
        if step["stage"] == "claimed" and holder is not None:
            verdict.shared_lane.append(f"{step['command_id']}: claimed while {holder} held the lane")
        if step["stage"] == "claimed":
            holders[step["session_id"]] = step["command_id"]
        elif step["stage"] != "typed" and holder == step["command_id"]:
            del holders[step["session_id"]]


def _judge_told(
    verdict: Verdict, items: Sequence[Item], by_id: Mapping[UUID, Mapping[str, Any]], told: Iterable[Path]
) -> None:
    entries = [json.loads(line) for path in told if path.exists() for line in path.read_text().splitlines()]
    verdict.settled = len(entries)
    for command_id, count in Counter(UUID(entry["id"]) for entry in entries).items():
        if count > 1:
            verdict.told_wrong.append(f"{command_id}: told {count} times")
    known = {UUID(entry["id"]): entry for entry in entries}
    for item in items:
        entry, row = known.get(item.command_id), by_id.get(item.command_id)
        if entry is None:
            verdict.lost.append(f"{item.kind} {item.command_id}: its waiter was never told")
        elif row is not None and (entry.get("success"), entry.get("error")) != (
            row["status"] == "completed",
            row["error"],
        ):
            verdict.told_wrong.append(
                f"{item.command_id}: told {entry}, the office says {row['status']} {row['error']}"
            )
