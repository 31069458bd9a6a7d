"""`semo breaker [list]|open|reset`."""

from typing import Annotated

import typer

from semo_console.cli.options import Json, Office, StateDir

breaker = typer.Typer(
    name="breaker",
    help="CLIs that are paused on a host because they failed again and again: see them, lift it, pause one by hand.",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

HOST_HELP = "A host by name or id, or the beginning of one."
PROFILE_HELP = "The profile of a CLI: shell, claude …"


@breaker.callback()
def breakers(context: typer.Context, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """CLIs that are paused on a host because they failed again and again. Without a verb: `list`.

    \b
    Examples:
      semo breaker
      semo breaker reset
      semo breaker open mac claude --reason 'the licence ran out'
    """
    if context.invoked_subcommand is None:
        list_(office, as_json, state_dir)
    elif office is not None or as_json:
        raise typer.BadParameter(f"Options go after the verb: `semo breaker {context.invoked_subcommand} …`.")


@breaker.command("list")
def list_(office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """List what has failed or is paused on the hosts of this folder's office.

    \b
    Examples:
      semo breaker list
      semo breaker list --json
    """
    from semo_console.cli.actions.breakers import list_breakers

    list_breakers(state_dir, office, as_json=as_json)


@breaker.command("open")
def open_(
    host: Annotated[str, typer.Argument(metavar="HOST", help=HOST_HELP)],
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help=PROFILE_HELP)],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; others read it.", show_default=False)
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Start nothing of a CLI on a host until `semo breaker reset`. What runs goes on.

    \b
    Example:
      semo breaker open mac claude --reason 'the licence ran out'
    """
    from semo_console.cli.actions.breakers import open_breaker

    open_breaker(state_dir, office, host, profile, reason, as_json=as_json)


@breaker.command()
def reset(
    host: Annotated[str | None, typer.Argument(metavar="HOST", help=HOST_HELP, show_default=False)] = None,
    profile: Annotated[str | None, typer.Argument(metavar="PROFILE", help=PROFILE_HELP, show_default=False)] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Lift the pause of a CLI on a host, and forget its failures. If only one is there, it need not be named.

    \b
    Examples:
      semo breaker reset
      semo breaker reset mac claude
    """
    from semo_console.cli.actions.breakers import reset_breaker

    reset_breaker(state_dir, office, host, profile, as_json=as_json)
