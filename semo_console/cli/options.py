"""Options that several verbs share."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from semo_office.locations import STATE_VARIABLE


def _choose_state_folder(chosen: Path | None) -> Path | None:
    """Whatever this process starts or logs uses the chosen folder too."""
    if chosen is not None:
        os.environ[STATE_VARIABLE] = str(chosen.expanduser().absolute())
    return chosen


StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        callback=_choose_state_folder,
        help=f"Where SEMO keeps its state (or {STATE_VARIABLE}).",
        show_default=False,
    ),
]
Office = Annotated[
    str | None,
    typer.Option(
        "--office", metavar="NAME", help="Office by name or id, instead of this folder's.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


class TerminalChoice(StrEnum):
    """Where programs run."""

    AUTO = "auto"
    PTY = "pty"
    TMUX = "tmux"
    ITERM2 = "iterm2"


Terminal = Annotated[
    TerminalChoice,
    typer.Option(
        "--terminal",
        help="Where programs run. auto: where sessions live already, else the best of iterm2 (on a Mac), tmux, pty.",
    ),
]
Lifeline = Annotated[int | None, typer.Option("--lifeline", min=3, metavar="FD", hidden=True)]
SESSION_HELP = "A session by id, or the beginning of one."


def refuse_options_before_the_verb(context: typer.Context) -> None:
    """`semo pool --office shop set …` would act on another office than it says. Raises BadParameter."""
    if any(value for name, value in context.params.items() if name != "state_dir"):
        raise typer.BadParameter(f"The options of {context.invoked_subcommand} stand after it")
