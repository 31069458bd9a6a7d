"""`semo hub`, `semo serve`: what runs in the background, with `semo agent`.

`semo migrate`: the tables on another PostgreSQL.
"""

from typing import Annotated

import typer

from semo_console.cli.options import Lifeline, StateDir
from semo_console.supervisor.lifeline import hold_lifeline


def hub(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port on 127.0.0.1; 0: a free one.")
    ] = 54321,
    lifeline: Lifeline = None,
    state_dir: StateDir = None,
) -> None:
    """Run the hub in the foreground; `semo up` does it for you.

    \b
    Example:
      semo hub --port 54321
    """
    hold_lifeline(lifeline)
    from semo_console.cli.actions.hub_service import run_hub

    run_hub(state_dir, port)


def serve(
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where its HTTP API listens; else on 127.0.0.1, at a port that stays. Port 0: a free one.",
            show_default=False,
        ),
    ] = None,
    lifeline: Lifeline = None,
    state_dir: StateDir = None,
) -> None:
    """Run the office server in the foreground.

    It leads the jobs of every office that admits it; a second one on the same office stands by. Its HTTP API answers
    whoever brings a token (`semo token`). Beyond 127.0.0.1 put TLS in front of it: tokens go over the wire as they are.

    \b
    Examples:
      semo serve
      semo serve --listen 127.0.0.1:8080
    """
    hold_lifeline(lifeline)
    from semo_console.cli.actions.server_service import run_office_server

    run_office_server(state_dir, listen)


def migrate(
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="The database. Better in SEMO_DATABASE_URL: a command line can be read by other users.",
            show_default=False,
        ),
    ] = None,
    state_dir: StateDir = None,
) -> None:
    """Bring the tables of a PostgreSQL or Supabase up to date.

    \b
    Examples:
      SEMO_DATABASE_URL=postgresql://… semo migrate
      semo migrate --database-url 'service=my_supabase'
    """
    from semo_console.cli.actions.migration import migrate_database

    migrate_database(database_url)
