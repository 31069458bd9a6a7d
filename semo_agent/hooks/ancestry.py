"""Whose hook it was: the session's own program's, or that of a CLI that runs inside of it."""

from collections.abc import Sequence

Ancestor = tuple[int, str]
"""A process above a hook: its pid, and the file name of the program or script that it runs."""


def is_own(ancestors: Sequence[Ancestor], tab_pid: int, program: str) -> bool:
    """Whether the nearest process above the hook that runs `program` is the session's own.

    ancestors: nearest first. tab_pid: the process that the terminal started; the CLI itself, or what starts it. The
    session's own CLI is then the one closest to it.
    """
    pids = [pid for pid, _ in ancestors]
    if tab_pid not in pids:
        return False
    within = ancestors[: pids.index(tab_pid) + 1]
    return sum(name == program for _, name in within) == 1
