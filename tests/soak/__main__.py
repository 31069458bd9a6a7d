"""`make soak`: the whole of it, and what memory does over 20,000 commands. Exit status 1 when anything broke."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.soak.memory import measure_memory
from tests.soak.soak import Size, Soak, running_world

FULL: Final = Size(agents=10, sessions_each=3, commands=5_000, clients=4)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--commands", type=int, default=FULL.commands)
    parser.add_argument("--agents", type=int, default=FULL.agents)
    parser.add_argument("--memory-commands", type=int, default=20_000, help="0: leave the memory out")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    say(f"seed {options.seed}, {options.agents} agents, {options.commands} commands, in {folder}")
    try:
        faults = chaos_soak(folder, options)
        if options.memory_commands:
            faults += memory_soak(folder, options.memory_commands)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    say("FAILED: " + "; ".join(faults) if faults else "ok")
    return 1 if faults else 0


def chaos_soak(folder: Path, options: argparse.Namespace) -> list[str]:
    size = Size(options.agents, FULL.sessions_each, options.commands, FULL.clients)
    with running_world(folder / "chaos", size) as world:
        outcome = Soak(world, size, options.seed).run()
    for line in outcome.table():
        say(f"  {line}")
    return [f"{name}: {what}" for name, what in outcome.faults.items()]


def memory_soak(folder: Path, commands: int) -> list[str]:
    lines, faults = measure_memory(folder / "memory", commands)
    for line in lines:
        say(f"  {line}")
    return faults


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
