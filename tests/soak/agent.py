"""One agent of the soak: the real one, on the counting terminal. `--without-journal`: as if there were none."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final
from uuid import UUID

from semo_agent.agent import run_agent
from semo_agent.errors import AgentError
from semo_agent.journal import Entry, Journal
from semo_agent.lease import Terms
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.logs import configure_logs
from tests.soak.terminal import CountingTerminal

SHORT: Final = Terms(lasts_s=3.0, renewed_every_s=1.0, sure_s=2.0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("terminal", type=Path)
    parser.add_argument("--without-journal", action="store_true")
    options = parser.parse_args(arguments)
    if options.without_journal:
        forget_everything()
    configure_logs()
    try:
        return asyncio.run(
            run_agent(StateFolder(options.state).prepare(), CountingTerminal(options.terminal), lease_terms=SHORT)
        )
    except (AgentError, OfficeError) as err:
        sys.stderr.write(f"semo: {err}\n")
        return 1


def forget_everything() -> None:
    """Patch out what the journal is there for: knowing what was typed before."""

    async def begin(_journal: Journal, _entry: Entry) -> None:
        return

    async def find(_journal: Journal, _command_id: UUID) -> Entry | None:
        return None

    async def entries(_journal: Journal) -> list[Entry]:
        return []

    for name, instead in (("begin", begin), ("find", find), ("entries", entries)):
        setattr(Journal, name, instead)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
