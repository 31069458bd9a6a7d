"""`semo send`, `semo cancel`."""

import math
from typing import Annotated
from uuid import UUID

import typer

from semo_console.cli.interruption import stop_on_sigterm
from semo_console.cli.options import SESSION_HELP, Json, Office, StateDir


def send(
    text: Annotated[
        str, typer.Argument(metavar="TEXT|-", help="The prompt; `-` reads it from standard input.", show_default=False)
    ],
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="A session of this role.", show_default=False)
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="S", help=SESSION_HELP, show_default=False)
    ] = None,
    office: Office = None,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            min=0,
            metavar="[SECONDS]",
            help="Wait for the end of the turn, for ever or so long.",
            show_default=False,
        ),
    ] = None,
    turn_limit: Annotated[
        float | None,
        typer.Option(
            "--turn-limit",
            min=0.001,
            metavar="SECONDS",
            help="Stop the turn with Ctrl-C when it runs longer.",
            show_default=False,
        ),
    ] = None,
    answer: Annotated[
        bool, typer.Option("--answer", help="Answer what the session asks, instead of a prompt.")
    ] = False,
    command_id: Annotated[
        UUID | None,
        typer.Option(
            "--id", metavar="UUID", help="Id of the command: the same again is not sent twice.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Send a prompt to a session. Without a target: to the only one of this folder's office.

    \b
    Examples:
      semo send --wait 'echo hi'
      semo send --wait 30 --json --role BE 'make test'
      git diff | semo send --session 3f2a -
      semo send --answer "'"
    """
    if role is not None and session is not None:
        raise typer.BadParameter("give --role or --session, not both", param_hint="--role")
    if turn_limit is not None and (answer or not math.isfinite(turn_limit)):
        raise typer.BadParameter("a number of seconds, for a prompt", param_hint="--turn-limit")
    stop_on_sigterm()
    from semo_console.cli.actions.sending import Send, send_text

    request = Send(
        text,
        role=role,
        session=session,
        office=office,
        wait=wait,
        turn_limit=turn_limit,
        answer=answer,
        command_id=command_id,
    )
    raise typer.Exit(send_text(state_dir, request, as_json=as_json))


def cancel(
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="Whose turn to stop.", show_default=False)
    ] = None,
    command_id: Annotated[
        UUID | None, typer.Option("--command", metavar="ID", help="Take back this command.", show_default=False)
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Stop the turn of a session, or take back what has not begun.

    \b
    Examples:
      semo cancel
      semo cancel 3f2a
      semo cancel --command 0b9d6f0e-8d57-4d27-9f60-2f8a3f3f8a10
    """
    if session is not None and command_id is not None:
        raise typer.BadParameter("give a session or --command, not both", param_hint="--command")
    from semo_console.cli.actions.cancelling import cancel_turn, take_back

    code = take_back(state_dir, command_id, as_json) if command_id else cancel_turn(state_dir, session, office, as_json)
    raise typer.Exit(code)
