"""`semo up`, `semo down`, `semo status`, `semo console`, `semo token`."""

import os
import sys
from typing import Annotated

import typer

from semo_console.cli.interruption import stop_on_sigterm
from semo_console.cli.options import Json, StateDir, Terminal, TerminalChoice


def up(
    headless: Annotated[
        bool, typer.Option("--headless", help="Start everything and return, without a console.")
    ] = False,
    office: Annotated[
        str | None,
        typer.Option("--office", metavar="NAME", help="Name of a new office; else the folder's.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            metavar="N",
            help="Port of the hub on 127.0.0.1, 54321 when it is new; 0: a free one.",
            show_default=False,
        ),
    ] = None,
    terminal: Terminal = TerminalChoice.AUTO,
    server: Annotated[
        bool, typer.Option("--server/--no-server", help="Run the office's jobs here; not: another machine does.")
    ] = True,
    warm: Annotated[
        str | None,
        typer.Option(
            "--warm", metavar="ROLE=N,…", help="Sessions that wait ready for jobs, by role.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Start SEMO for this folder: hub, agent and one session. Again: join what runs.

    \b
    Examples:
      semo up
      semo up --headless --json
      semo up --office shop --port 0
      semo up --warm BE=1,QA=1
    """
    stop_on_sigterm()
    from semo_console.cli.actions.startup import start_up

    start_up(
        state_dir,
        office_name=office,
        port=port,
        terminal=terminal.value,
        server=server,
        warm=warm,
        headless=headless,
        as_json=as_json,
    )
    if not (headless or as_json) and is_terminal():
        console(state_dir)


def console(state_dir: StateDir = None) -> None:
    """Open the console: all sessions on one screen. `semo` alone does so too.

    \b
    Example:
      semo console
    """
    from semo_console.cli.actions.sitting import open_console

    open_console(state_dir)


def is_terminal() -> bool:
    """Whether a person sits at both ends, and the terminal can show a screen."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def down(
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End the sessions too; they live on otherwise.")
    ] = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Stop agent, hub and supervisor. The sessions live on in their terminals.

    \b
    Examples:
      semo down
      semo down --end-sessions
    """
    from semo_console.cli.actions.shutdown import shut_down

    shut_down(state_dir, end_sessions=end_sessions, as_json=as_json)


def status(as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show what runs: processes, offices and sessions.

    \b
    Examples:
      semo status
      semo status --json
    """
    from semo_console.cli.actions.survey import show_status

    show_status(state_dir, as_json=as_json)


def token(as_json: Json = False, state_dir: StateDir = None) -> None:
    """Print your token for the HTTP API.

    Whoever has it acts as you until it ends: a command line can be read by other users, a file of yours can't.

    \b
    Examples:
      curl -H @<(printf 'Authorization: Bearer %s' "$(semo token)") http://127.0.0.1:PORT/api/offices
      semo token --json
    """
    from semo_console.cli.actions.token import print_token

    print_token(state_dir, as_json=as_json)
