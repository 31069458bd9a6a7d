"""`semo pool [status]`, `semo pool set`."""

from typing import Annotated

import typer

from semo_console.cli.options import Json, Office, StateDir, refuse_options_before_the_verb

pool = typer.Typer(
    name="pool",
    help="The sessions that the office makes for its jobs: spares that wait ready, and others up to a cap.",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@pool.callback()
def pool_(context: typer.Context, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """The sessions that the office makes for its jobs: spares that wait ready, and others up to a cap."""
    if context.invoked_subcommand is None:
        status(office, as_json, state_dir)
    else:
        refuse_options_before_the_verb(context)


@pool.command()
def status(office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show what the pool has, and what it decided last and why.

    \b
    Examples:
      semo pool
      semo pool status --json
    """
    from semo_console.cli.actions.pool import show_pool

    show_pool(state_dir, office, as_json=as_json)


@pool.command("set")
def set_(
    sizes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ROLE=N]…", help="Sessions of this role that wait ready.", show_default=False),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Which program runs in these spares.", show_default=False),
    ] = None,
    cold_cap: Annotated[
        int | None,
        typer.Option("--cold-cap", metavar="N", help="How many may live beside the spares.", show_default=False),
    ] = None,
    idle_timeout: Annotated[
        float | None,
        typer.Option("--idle-timeout", metavar="SECONDS", help="The others end when idle so long.", show_default=False),
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Say how many sessions wait ready for jobs. What is not named stays as it is.

    \b
    Examples:
      semo pool set BE=2 FE=1
      semo pool set BE=0
      semo pool set --cold-cap 5 --idle-timeout 1800
    """
    from semo_console.cli.actions.pool import Wish, set_pool

    wish = Wish(tuple(sizes or ()), profile, cold_cap, idle_timeout)
    set_pool(state_dir, office, wish, as_json=as_json)
