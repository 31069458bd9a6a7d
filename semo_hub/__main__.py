"""`python -m semo_hub`: run the hub of one state folder until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import structlog

from semo_hub.errors import HubError
from semo_hub.hub import DEFAULT_PORT, serve
from semo_hub.shutdown import Shutdown


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


def configure_logs() -> None:
    """JSON lines on stderr. Libraries speak through logging, and only when something is wrong."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
