"""`semo team add|list|remove`, `semo persona set|list|show`."""

from pathlib import Path
from typing import Annotated

import typer

from semo_console.cli.options import Json, Office, StateDir

team = typer.Typer(
    name="team",
    help="Who works in this office, in which role and with which CLI.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
persona = typer.Typer(
    name="persona",
    help="How the people of a role work, as the CLIs that do their jobs are told.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Role = Annotated[str, typer.Option("--role", metavar="ROLE", help="FE, BE, QA, or any label.", show_default=False)]


@team.command()
def add(
    role: Role,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Else the role and a number.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Its CLI; else shell.", show_default=False),
    ] = None,
    persona_file: Annotated[
        Path | None,
        typer.Option("--persona", metavar="FILE", help="How it works, instead of its role's.", show_default=False),
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Add somebody to the team.

    \b
    Examples:
      semo team add --role BE
      semo team add --role BE --name Bo --profile claude --persona bo.md
    """
    from semo_console.cli.actions.team import Member, add_member

    add_member(state_dir, office, Member(role, name, profile, persona_file), as_json=as_json)


@team.command("list")
def list_(office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """List the team and what each of it does now.

    \b
    Example:
      semo team list
    """
    from semo_console.cli.actions.team import list_team

    list_team(state_dir, office, as_json=as_json)


@team.command()
def remove(
    chosen: Annotated[str, typer.Argument(metavar="NAME", help="By name or id.", show_default=False)],
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Take somebody off the team. What it did stays; what it has not begun goes to others of its role.

    \b
    Example:
      semo team remove BE-2
    """
    from semo_console.cli.actions.team import remove_member

    remove_member(state_dir, office, chosen, as_json=as_json)


@persona.command("set")
def set_(
    role: Role,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Markdown, UTF-8, at most 64 kB.", show_default=False)],
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Say how the people of a role work in this office.

    \b
    The file may begin with TOML between two lines +++:
      +++
      name = "Backend developer"
      scope = ["src/api/**", "src/lib/**"]
      skills = ["write-code", "create-pr"]
      +++
      You build services and data.

    \b
    Example:
      semo persona set --role BE backend.md
    """
    from semo_console.cli.actions.team import set_persona

    set_persona(state_dir, office, role, file, as_json=as_json)


@persona.command("list")
def list_personas(office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """List the roles that are described here.

    \b
    Example:
      semo persona list
    """
    from semo_console.cli.actions.team import list_personas as list_them

    list_them(state_dir, office, as_json=as_json)


@persona.command()
def show(role: Role, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Print how the people of a role work.

    \b
    Example:
      semo persona show --role BE
    """
    from semo_console.cli.actions.team import show_persona

    show_persona(state_dir, office, role, as_json=as_json)
