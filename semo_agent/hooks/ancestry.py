"""Whose hook it was: the session's own program's, or that of a CLI that runs inside of it."""

from collections.abc import Sequence

Ancestor = tuple[int, str]
"""A process above a hook: its pid, and the file name of the program or script that it runs."""


def own_program(
    ancestors: Sequence[Ancestor], tab_pid: int, program: str, *, known: int | None, starts: bool
) -> int | None:
    """The process that ran the hook, if it is the session's own CLI; None: it is another, inside of it or elsewhere.

    ancestors: nearest first. tab_pid: the process that the terminal started; the CLI itself, or what starts it. known:
    the session's CLI as of its last event. starts: the event is the one that a CLI begins with. Whichever of this name
    starts first in a terminal is the session's; one that starts later is only where the one before is gone.
    """
    pids = [pid for pid, _ in ancestors]
    if tab_pid not in pids:
        return None
    within = ancestors[: pids.index(tab_pid) + 1]
    named = [pid for pid, name in within if name == program]
    if not named or (known in pids and known != named[0]):
        return None
    is_certain = known == named[0] or starts or len(named) == 1
    return named[0] if is_certain else None
