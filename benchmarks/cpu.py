"""CPU time and memory of processes, from /proc: where there is none, they are not measured."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    seconds: float
    command: str


def available() -> bool:
    return (PROC / "self" / "stat").exists()


def seconds_by_process(mentioning: str) -> dict[int, float]:
    """CPU time so far, s, of every process whose command line mentions a text, and of all below them."""
    everything = list(_processes())
    found = {each.pid for each in everything if mentioning in each.command and each.pid != os.getpid()}
    while below := {each.pid for each in everything if each.parent in found} - found:
        found |= below
    return {each.pid: each.seconds for each in everything if each.pid in found}


def seconds_of(pid: int) -> float:
    """CPU time so far, s, of one process without those below it, but for the children it has waited for."""
    return next(each.seconds for each in _processes() if each.pid == pid)


def private_mb(pid: int) -> float:
    """Memory that a process shares with no other."""
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU time between two looks, s. What began and ended in between is not seen."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _processes() -> Iterable[_Process]:
    for folder in PROC.glob("[0-9]*"):
        try:
            # The name in parentheses may hold anything.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # Its own time, and that of the children it has waited for.
        ticks = sum(map(int, fields[11:15]))
        yield _Process(int(folder.name), int(fields[1]), ticks / TICKS_PER_S, command)
