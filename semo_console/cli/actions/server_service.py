"""`semo serve`: the office server in the foreground."""

import time
from functools import partial
from pathlib import Path

from semo_console.cli.garbage import collect_from_now_on
from semo_console.processes import Processes
from semo_office.api import ApiServer, Listener, parse_listen
from semo_office.config import read_supabase_settings
from semo_office.locations import StateFolder
from semo_office.logs import configure_logs
from semo_office.server import run_server


def run_office_server(state_dir: Path | None, listen: str | None) -> None:
    """Run the API, and the jobs of every office that admits us, until SIGTERM or SIGINT.

    `listen`: HOST:PORT, None: loopback. Raises ConsoleError, OfficeError.
    """
    wanted = parse_listen(listen) if listen else Listener()
    state = StateFolder.find(state_dir).prepare()
    configure_logs()
    if read_supabase_settings().url is None:
        Processes(state).await_running("hub")
    collect_from_now_on()
    run_server(state, partial(ApiServer.open, state, wanted, time.monotonic))
