"""The console of a machine, on a screen of its own."""

import sys
from contextlib import AbstractContextManager

from tests.acceptance.machine import Machine
from tests.acceptance.tmux_screen import TmuxScreen, tmux_screen


def console_of(
    machine: Machine, *arguments: str, cols: int = 120, rows: int = 40
) -> AbstractContextManager[TmuxScreen]:
    """`semo` with these words, `semo` alone by default."""
    return tmux_screen(
        machine.path / "console.sock",
        [sys.executable, "-m", "semo_console", *arguments],
        environment={**machine.environment, "TERM": "xterm-256color"},
        cwd=machine.repository,
        cols=cols,
        rows=rows,
    )


def choose(screen: TmuxScreen, machine: Machine, session_id: str) -> str:
    """Go to a session by its tag; its tag."""
    row = next(row for row in screen.sees(session_id[:8]).splitlines() if session_id[:8] in row)
    tag = row.split(session_id[:8])[0].lstrip("|>")[1 if row.startswith("|>") else 2]
    screen.press("g", tag)
    screen.sees(f" 1 {tag} ")
    return tag
