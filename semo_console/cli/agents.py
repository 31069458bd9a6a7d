"""`semo agent`, and `semo agent install|uninstall|logs`."""

from typing import Annotated

import typer

from semo_console.cli.options import Lifeline, StateDir, Terminal, TerminalChoice
from semo_console.supervisor.lifeline import hold_lifeline

agent = typer.Typer(
    name="agent",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@agent.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    terminal: Terminal = TerminalChoice.AUTO,
    installed: Annotated[bool, typer.Option("--installed", hidden=True)] = False,
    lifeline: Lifeline = None,
    state_dir: StateDir = None,
) -> None:
    """Run the agent in the foreground; `semo up` does it for you, and `semo agent install` at every login.

    \b
    Examples:
      semo agent
      semo agent install
    """
    if context.invoked_subcommand is not None:
        return
    hold_lifeline(lifeline)
    from semo_console.cli.actions.agent_service import run_agent

    run_agent(state_dir, terminal.value, is_installed=installed)


@agent.command()
def install(terminal: Terminal = TerminalChoice.AUTO, state_dir: StateDir = None) -> None:
    """Start the agent now and at every login, in the desktop session; again: with what is said now.

    \b
    Examples:
      semo agent install
      semo agent install --terminal iterm2
    """
    from semo_console.cli.actions.installation import install_agent

    install_agent(state_dir, terminal.value)


@agent.command()
def uninstall(state_dir: StateDir = None) -> None:
    """Stop the installed agent and start it no more; the sessions live on in their terminals.

    \b
    Example:
      semo agent uninstall
    """
    from semo_console.cli.actions.installation import uninstall_agent

    uninstall_agent(state_dir)


@agent.command()
def logs(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written later.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, metavar="N", help="How many of the last lines.")] = 100,
    state_dir: StateDir = None,
) -> None:
    """Show the agent's log.

    \b
    Examples:
      semo agent logs
      semo agent logs -f
    """
    from semo_console.cli.actions.installation import show_log

    show_log(state_dir, lines=lines, follow=follow)
