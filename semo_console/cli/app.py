"""The verbs of `semo`. Each module of verbs is light; what a verb needs is loaded when it runs."""

from collections.abc import Callable

import typer

from semo_console.cli import agents, breakers, jobs, lifecycle, offices, pool, prompts, services, sessions, team
from semo_console.cli.exits import MEANINGS
from semo_console.cli.waiting import WaitingCommand

app = typer.Typer(
    name="semo",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=MEANINGS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def semo(context: typer.Context) -> None:
    """A team of coding agents in real terminals, and one keyboard console over all of them.

    \b
    Begin with:
      semo up                      start SEMO for this folder
      semo                         open the console
      semo send --wait 'echo hi'   send a prompt and see what came of it
      semo VERB --help             more on one verb
    """
    if context.invoked_subcommand is not None:
        return
    if lifecycle.is_terminal():
        lifecycle.console()
    else:
        typer.echo(context.get_help())


_VERBS: tuple[Callable[..., None], ...] = (
    lifecycle.up,
    lifecycle.down,
    lifecycle.status,
    lifecycle.console,
    lifecycle.token,
    prompts.send,
    prompts.cancel,
    sessions.new,
    sessions.output,
    sessions.why,
    sessions.terminate,
    services.hub,
    services.serve,
    services.migrate,
)
_WAITING = (prompts.send,)

for _verb in _VERBS:
    app.command(cls=WaitingCommand if _verb in _WAITING else None)(_verb)
app.add_typer(sessions.sessions)
app.add_typer(agents.agent)
app.add_typer(jobs.job)
app.add_typer(offices.office)
app.add_typer(team.team)
app.add_typer(team.persona)
app.add_typer(pool.pool)
app.add_typer(breakers.breaker)
