"""`python -m semo_hub`: run the hub of one state folder until SIGTERM or SIGINT."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from semo_hub.errors import HubError
from semo_hub.hub import DEFAULT_PORT, serve
from semo_hub.shutdown import Shutdown
from semo_office.logs import configure_logs


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 after a stop, 1 when the hub could not run; the reason is one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m semo_hub", description="Supabase for one machine.")
    parser.add_argument("--state-dir", type=Path, required=True, help="where data, keys and credentials are kept")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="loopback port; 0 picks a free one")
    parser.add_argument("--sql-dir", type=Path, default=None, help="other SQL files than SEMO's own")
    options = parser.parse_args(arguments)
    configure_logs()
    try:
        asyncio.run(run(options.state_dir.absolute(), options.port, options.sql_dir))
    except HubError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    return 0


async def run(state_dir: Path, port: int, sql_dir: Path | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    shutdown = Shutdown()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, shutdown.request)
    await serve(state_dir, port, shutdown, sql_dir=sql_dir)


if __name__ == "__main__":
    sys.exit(main())
