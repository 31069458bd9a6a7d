"""`semo job add|list|show|cancel|retry`."""

from typing import Annotated

import typer

from semo_console.cli.options import Json, Office, StateDir

job = typer.Typer(
    name="job",
    help="Work that the office does by itself: add it, watch it, cancel it, try it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

JobArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A job by id, or the beginning of one.", show_default=False)
]


@job.command()
def add(
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Whose work it is: FE, BE, or any label.")],
    title: Annotated[str, typer.Option("--title", metavar="T", help="One line that a person reads.")],
    description: Annotated[
        str,
        typer.Option("--description", metavar="D|-", help="What to do; for a shell, the command. `-`: standard input."),
    ],
    depends_on: Annotated[
        list[str] | None,
        typer.Option("--depends-on", metavar="ID", help="A job to be done before; repeatable.", show_default=False),
    ] = None,
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="A lower number goes first.")] = 100,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Add a job. It begins when the jobs that it depends on are done.

    \b
    Examples:
      semo job add --role BE --title 'Unit tests' --description 'make test'
      semo job add --role BE --title Release --description 'make release' --depends-on 3f2a
      semo job add --role BE --title Clean --description - < clean.sh
    """
    from semo_console.cli.actions.jobs import Addition, add_job

    request = Addition(role, title, description, tuple(depends_on or ()), priority)
    add_job(state_dir, office, request, as_json=as_json)


@job.command("list")
def list_(
    show_all: Annotated[bool, typer.Option("--all", help="Also those that are done or cancelled.")] = False,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """List the jobs of this folder's office.

    \b
    Examples:
      semo job list
      semo job list --all --json
    """
    from semo_console.cli.actions.jobs import list_jobs

    list_jobs(state_dir, office, with_ended=show_all, as_json=as_json)


@job.command()
def show(chosen: JobArgument, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show a job with its attempts and what they ended with.

    \b
    Example:
      semo job show 3f2a
    """
    from semo_console.cli.actions.jobs import show_job

    show_job(state_dir, office, chosen, as_json=as_json)


@job.command()
def cancel(chosen: JobArgument, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Cancel a job; what runs of it is stopped.

    \b
    Example:
      semo job cancel 3f2a
    """
    from semo_console.cli.actions.jobs import cancel_job

    cancel_job(state_dir, office, chosen, as_json=as_json)


@job.command()
def retry(chosen: JobArgument, office: Office = None, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Try a job again that failed or was cancelled.

    \b
    Example:
      semo job retry 3f2a
    """
    from semo_console.cli.actions.jobs import retry_job

    retry_job(state_dir, office, chosen, as_json=as_json)
