"""Prints the measured figures of SEMO on this machine: all of them, or those that are named."""

import argparse
import asyncio
from collections.abc import Callable

from benchmarks import commands, console, output, send_text, startup, terminals
from benchmarks.office import BenchOffice, bench_office

Measure = Callable[[BenchOffice], list[str]]

PARTS: dict[str, tuple[str, Measure]] = {
    "output": ("output, as it is watched", lambda office: asyncio.run(output.measure(office))),
    "tmux": ("idle on tmux", lambda office: asyncio.run(output.measure_idle(office))),
    "commands": (
        "commands that do nothing, beside two job queues",
        lambda office: asyncio.run(commands.measure(office)),
    ),
    "send_text": ("send_text, one command after the other", lambda office: asyncio.run(send_text.measure(office))),
    "start": ("start", startup.measure),
    "console": ("console", console.measure),
}
ALONE: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "terminals": ("terminals, side by side", terminals.measure),
}
"""Parts with offices of their own."""

# Each of the first fills an office with sessions, which the others should not have to carry.
OFFICES = (
    ("pty", ("output",)),
    ("tmux", ("tmux",)),
    ("pty", ("commands",)),
    ("pty", ("send_text", "start", "console")),
)


def main() -> None:
    names = [*PARTS, *ALONE]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(names)}; without any all of them")
    wanted = parser.parse_args().parts or names
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"there is no {unknown[0]}: choose from {', '.join(names)}")
    for terminal, parts in OFFICES:
        if chosen := [name for name in parts if name in wanted]:
            _measure(terminal, chosen)
    for name, (title, measure) in ALONE.items():
        if name in wanted:
            _print(title, measure())


def _measure(terminal: str, names: list[str]) -> None:
    with bench_office(terminal) as office:
        for name in names:
            title, measure = PARTS[name]
            _print(title, measure(office))


def _print(title: str, lines: list[str]) -> None:
    print(title, *lines, "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
