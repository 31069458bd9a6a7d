"""`semo serve`: the office server in the foreground."""

import asyncio
from pathlib import Path

from semo_console.cli.garbage import collect_from_now_on
from semo_console.processes import Processes
from semo_office.config import read_supabase_settings
from semo_office.locations import StateFolder
from semo_office.logs import configure_logs
from semo_office.server import run_server


def run_office_server(state_dir: Path | None) -> None:
    """Run the jobs of every office that admits us, until SIGTERM or SIGINT. Raises ConsoleError, OfficeError."""
    state = StateFolder.find(state_dir).prepare()
    configure_logs()
    if read_supabase_settings().url is None:
        Processes(state).await_running("hub")
    collect_from_now_on()
    asyncio.run(run_server(state))
