"""`semo new`, `semo sessions [dismiss|forget]`, `semo output`, `semo why`, `semo terminate`."""

from pathlib import Path
from typing import Annotated

import typer

from semo_console.cli.options import SESSION_HELP, Json, Office, StateDir, refuse_options_before_the_verb

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help=SESSION_HELP, show_default=False)]


sessions = typer.Typer(
    name="sessions",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def new(
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="What it is for: FE, BE, or any label.")
    ] = "shell",
    profile: Annotated[str, typer.Option("--profile", metavar="NAME", help="Which program runs in it.")] = "shell",
    cwd: Annotated[
        Path | None,
        typer.Option("--cwd", metavar="DIR", help="Where it works; else the office's folder.", show_default=False),
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Start a session and wait until it is ready for a prompt.

    \b
    Examples:
      semo new
      semo new --role BE --cwd services/api
    """
    from semo_console.cli.actions.creation import create_session

    raise typer.Exit(create_session(state_dir, office, role=role, profile=profile, cwd=cwd, as_json=as_json))


@sessions.callback()
def list_(
    context: typer.Context,
    show_all: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """List the sessions of this folder's office.

    \b
    Examples:
      semo sessions
      semo sessions --all --json
      semo sessions dismiss 3f2a
    """
    if context.invoked_subcommand is not None:
        refuse_options_before_the_verb(context)
        return
    from semo_console.cli.actions.listing import list_sessions

    list_sessions(state_dir, office, with_ended=show_all, as_json=as_json)


@sessions.command()
def dismiss(session: SessionArgument, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Say that you have read what a job left in a session: the pool may end it.

    \b
    Example:
      semo sessions dismiss 3f2a
    """
    from semo_console.cli.actions.leaving import dismiss_session

    dismiss_session(state_dir, office, session, as_json=as_json)


@sessions.command()
def forget(office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Call the sessions ended that were on hosts which nobody has seen for 10 minutes.

    \b
    Example:
      semo sessions forget
    """
    from semo_console.cli.actions.leaving import forget_sessions

    forget_sessions(state_dir, office, as_json=as_json)


def output(
    session: SessionArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it grows, until Ctrl-C or its end.")] = False,
    lines: Annotated[int, typer.Option("--lines", min=1, max=10_000, metavar="N", help="How many lines back.")] = 100,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show what a session has printed.

    \b
    Examples:
      semo output 3f2a
      semo output -f --lines 20 3f2a
    """
    from semo_console.cli.actions.reading import print_as_it_comes, show_output

    read = print_as_it_comes if follow else show_output
    raise typer.Exit(read(state_dir, office, session, lines=lines, as_json=as_json))


def why(session: SessionArgument, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Say why a session is in its state.

    It names the evidence that decided, its age, and what is known of the turn that runs.

    \b
    Example:
      semo why 3f2a
    """
    from semo_console.cli.actions.explaining import explain

    raise typer.Exit(explain(state_dir, office, session, as_json=as_json))


def terminate(
    session: SessionArgument, office: Office = None, as_json: Json = False, state_dir: StateDir = None
) -> None:
    """End a session: its program and its tab.

    \b
    Example:
      semo terminate 3f2a
    """
    from semo_console.cli.actions.ending import terminate_session

    raise typer.Exit(terminate_session(state_dir, office, session, as_json=as_json))
