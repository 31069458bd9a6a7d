"""`semo agent`: this host's agent in the foreground."""

import asyncio
from pathlib import Path

from semo_agent import agent
from semo_agent.emulator import warm_up
from semo_agent.errors import AgentError
from semo_agent.terminals.choice import TerminalChoice
from semo_console.cli.garbage import collect_from_now_on
from semo_console.errors import ConsoleError, Superseded
from semo_console.processes import Processes
from semo_office.config import read_supabase_settings
from semo_office.locations import StateFolder
from semo_office.logs import configure_logs


def run_agent(state_dir: Path | None, terminal: str, *, is_installed: bool = False) -> None:
    """Act for this host until SIGTERM or SIGINT. Raises ConsoleError and OfficeError when it can't.

    is_installed: the system starts it again when it fails, which giving way to another is not then.
    """
    state = StateFolder.find(state_dir).prepare()
    configure_logs()
    if read_supabase_settings().url is None:
        # `semo up` starts both at once: what takes long to load is loaded while the hub comes up.
        warm_up()
        Processes(state).await_running("hub")
    try:
        collect_from_now_on()
        exit_status = asyncio.run(agent.run_agent(state, TerminalChoice(terminal)))
    except AgentError as err:
        raise ConsoleError(str(err)) from err
    if exit_status == agent.SUPERSEDED_STATUS:
        if is_installed:
            return
        raise Superseded("Another agent process acts for this host now; this one has ended.")
