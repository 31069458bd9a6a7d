"""`semo hub`: the hub in the foreground."""

import asyncio
from pathlib import Path

from semo_console.cli.garbage import collect_from_now_on
from semo_console.errors import ConsoleError
from semo_hub.__main__ import run
from semo_hub.errors import HubError
from semo_office.locations import StateFolder
from semo_office.logs import configure_logs


def run_hub(state_dir: Path | None, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConsoleError when it can't."""
    state = StateFolder.find(state_dir).prepare()
    configure_logs()
    try:
        collect_from_now_on()
        asyncio.run(run(state.path, port))
    except HubError as err:
        raise ConsoleError(str(err)) from err
