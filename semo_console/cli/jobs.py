"""`semo job add|list|show|cancel|retry|review`."""

from enum import StrEnum
from typing import Annotated

import typer

from semo_console.cli.options import Json, Office, StateDir

job = typer.Typer(
    name="job",
    help="Work that the office does by itself: add it, watch it, judge it, cancel it, try it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

JobArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A job by id, or the beginning of one.", show_default=False)
]


@job.command()
def add(
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="ROLE", help="Whose work it is: FE, BE, or any label.", show_default=False),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="T", help="One line that a person reads.", show_default=False)
    ] = None,
    description: Annotated[
        str | None,
        typer.Option(
            "--description",
            metavar="D|-",
            help="What to do; for a shell, the command. `-`: standard input.",
            show_default=False,
        ),
    ] = None,
    depends_on: Annotated[
        list[str] | None,
        typer.Option("--depends-on", metavar="ID", help="A job to be done before; repeatable.", show_default=False),
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", min=-1_000_000, max=1_000_000, metavar="N", help="A lower number goes first.")
    ] = 100,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", metavar="NAME", help="The CLI that does it; else its agent's, else shell.", show_default=False
        ),
    ] = None,
    turn_limit: Annotated[
        float | None,
        typer.Option(
            "--turn-limit",
            min=1,
            max=604_800,
            metavar="SECONDS",
            help="How long a turn may run; else an hour.",
            show_default=False,
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Who of the team does it, by name or id.", show_default=False),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="FILE|-",
            help="Many jobs at once, as TOML or JSON Lines. `-`: standard input.",
            show_default=False,
        ),
    ] = None,
    any_role: Annotated[bool, typer.Option("--any-role", help="Also a role that nobody here has.")] = False,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Add a job, or a file of jobs. A job begins when the jobs that it depends on are done.

    \b
    Examples:
      semo job add --role BE --title 'Unit tests' --description 'make test'
      semo job add --role BE --title Release --description 'make release' --depends-on 3f2a
      semo job add --role BE --profile claude --title 'Login' --description - < login.md
      semo job add --file jobs.toml

    \b
    A file has a table for each job; depends_on holds names of the file, or ids:
      [[job]]
      name = "tests"
      role = "QA"
      description = "make test"
      depends_on = ["build"]
    The other keys: title, priority, profile, turn_limit, agent.
    """
    from semo_console.cli.actions.job_addition import Addition, add_job, add_jobs

    if file is not None:
        if any(each is not None for each in (role, title, description, depends_on, profile, turn_limit, agent)):
            raise typer.BadParameter("the file says all of its jobs; give nothing else", param_hint="--file")
        add_jobs(state_dir, office, file, any_role=any_role, as_json=as_json)
        return
    if role is None and agent is None:
        raise typer.BadParameter("say whose work it is, or --agent, or give --file", param_hint="--role")
    request = Addition(
        role=role,
        title=_needed(title, "--title"),
        description=_needed(description, "--description"),
        depends_on=tuple(depends_on or ()),
        priority=priority,
        profile=profile,
        turn_limit=turn_limit,
        agent=agent,
        any_role=any_role,
    )
    add_job(state_dir, office, request, as_json=as_json)


def _needed(value: str | None, option: str) -> str:
    if value is None:
        raise typer.BadParameter("it is missing; or give --file", param_hint=option)
    return value


class StatusChoice(StrEnum):
    """The states of a job, in the words of `semo job list`."""

    WAITS = "waits"
    READY = "ready"
    WORKING = "working"
    REVIEW = "review"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@job.command("list")
def list_(
    show_all: Annotated[bool, typer.Option("--all", help="Also those that are done or cancelled.")] = False,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="Only those of this role.", show_default=False)
    ] = None,
    status: Annotated[
        list[StatusChoice] | None,
        typer.Option("--status", help="Only those in this state; repeatable.", show_default=False),
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """List the jobs of this folder's office, each after those that it waits for.

    \b
    Examples:
      semo job list
      semo job list --status failed --status review
      semo job list --all --json
    """
    from semo_console.cli.actions.jobs import Selection, list_jobs

    selection = Selection(with_ended=show_all, role=role, words=tuple(status or ()))
    list_jobs(state_dir, office, selection, as_json=as_json)


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


class VerdictChoice(StrEnum):
    """What a person decides."""

    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"


@job.command()
def review(
    chosen: JobArgument,
    verdict: Annotated[VerdictChoice, typer.Argument(metavar="done|failed|retry", show_default=False)],
    note: Annotated[
        str | None,
        typer.Option("--note", metavar="TEXT", help="Why; the next try is told. `-`: stdin.", show_default=False),
    ] = None,
    office: Office = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Decide on a job whose turn ended without the word that it is done.

    \b
    Examples:
      semo job review 3f2a done
      semo job review 3f2a retry --note 'The tests of the login are missing.'
    """
    from semo_console.cli.actions.jobs import review_job

    review_job(state_dir, office, chosen, verdict.value, note, as_json=as_json)
