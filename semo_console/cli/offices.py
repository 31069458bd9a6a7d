"""`semo office create|list|show|archive|restore`."""

from pathlib import Path
from typing import Annotated

import typer

from semo_console.cli.options import Json, StateDir

office = typer.Typer(
    name="office",
    help="Repositories with a team: make one, look at them, put one away.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Chosen = Annotated[
    str | None,
    typer.Argument(metavar="[OFFICE]", help="By name or id; else this folder's.", show_default=False),
]


@office.command()
def create(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A folder; else this one.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Else the folder's name.", show_default=False)
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Make an office of a folder, served by this machine. Again: the one that is there.

    \b
    Examples:
      semo office create
      semo office create ~/src/shop --name shop
    """
    from semo_console.cli.actions.offices import create_office

    create_office(state_dir, path, name, as_json=as_json)


@office.command("list")
def list_(
    show_all: Annotated[bool, typer.Option("--all", help="Also those that are archived.")] = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """List the offices that you belong to.

    \b
    Example:
      semo office list
    """
    from semo_console.cli.actions.offices import list_offices

    list_offices(state_dir, with_archived=show_all, as_json=as_json)


@office.command()
def show(chosen: Chosen = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show an office: its hosts, team, sessions and jobs.

    \b
    Example:
      semo office show shop
    """
    from semo_console.cli.actions.offices import show_office

    show_office(state_dir, chosen, as_json=as_json)


@office.command()
def archive(chosen: Chosen = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Put an office away: it can be read, and takes no jobs, sessions or prompts.

    \b
    Example:
      semo office archive shop
    """
    from semo_console.cli.actions.offices import archive_office

    archive_office(state_dir, chosen, as_json=as_json)


@office.command()
def restore(chosen: Chosen = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Open an archived office again.

    \b
    Example:
      semo office restore shop
    """
    from semo_console.cli.actions.offices import restore_office

    restore_office(state_dir, chosen, as_json=as_json)
