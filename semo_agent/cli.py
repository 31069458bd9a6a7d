"""`semo-agent`: the agent of this host, in the foreground."""

import argparse
import asyncio
import sys
from pathlib import Path

from semo_agent.agent import run_agent
from semo_agent.errors import AgentError
from semo_agent.terminals.choice import TerminalChoice
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.logs import configure_logs


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 after a stop, 1 when it could not run (one sentence on stderr), 3 when another agent took over."""
    parser = argparse.ArgumentParser(
        prog="semo-agent", description="Act for this host: run sessions in its terminals. SIGTERM stops it."
    )
    parser.add_argument("--state-dir", type=Path, default=None, help="where credentials and records are kept")
    parser.add_argument(
        "--terminal",
        choices=[str(choice) for choice in TerminalChoice],
        default=str(TerminalChoice.AUTO),
        help="what sessions run in; auto: where some live already, else the best of iterm2 (on a Mac), tmux, pty",
    )
    options = parser.parse_args(arguments)
    configure_logs()
    try:
        return asyncio.run(run_agent(StateFolder.find(options.state_dir).prepare(), TerminalChoice(options.terminal)))
    except (AgentError, OfficeError) as err:
        sys.stderr.write(f"{err}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
