"""One pane of our tmux server, and the bytes on their way to its program."""

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from semo_agent.errors import TerminalError, TerminalTimeout
from semo_agent.terminals.base import ExitStatus

FORMAT: Final = (
    "'#{@semo_tab}|#{pid}|#{window_id}|#{pane_id}|#{pane_pid}|#{pane_tty}|"
    "#{pane_dead}|#{pane_dead_status}|#{pane_dead_signal}'"
)

_CHUNK: Final = 2048
"""Bytes given to tmux at once: what it has taken it never drops, so it gets no more than the system takes over."""
_KEYS: Final = 64
"""Of one command: tmux takes a time that grows with their square. (paste-buffer would be quicker, but since 3.6
it changes control characters, and it needs a file with the text.)"""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.005
_ENDED: Final = "The program has ended."


@dataclass(slots=True)
class Pane:
    """A pane as tmux tells it. `exit`: None while its program runs."""

    tab_id: str
    server: str
    """The pid of its server."""
    window: str
    pane: str
    pid: int
    tty: str
    exit: ExitStatus | None
    unexplained: bool = False
    """Its terminal was closed, and tmux does not say how its program ended, or not yet."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


def read_pane(line: str) -> Pane | None:
    """A line of `FORMAT`; None for a pane that is not ours."""
    tab_id, server, window, pane, pid, tty, dead, code, signal = line.split("|")
    if not tab_id:
        return None
    known = bool(code or signal)
    exit_status = _exit(code, signal) if dead == "1" and known else None
    return Pane(tab_id, server, window, pane, int(pid), tty, exit_status, unexplained=dead == "1" and not known)


def _exit(code: str, signal: str) -> ExitStatus:
    return ExitStatus(signal=int(signal)) if signal else ExitStatus(code=int(code))


async def type_into(pane: Pane, data: bytes, run: Callable[..., Awaitable[object]], seconds: float) -> None:
    """Give all bytes to the program of a pane, none of another call in between.

    run: runs commands of tmux. seconds: within which it must have taken them; the rest it never gets then.

    Raises `TerminalTimeout`, and `TerminalError` when the program has ended.
    """
    try:
        async with asyncio.timeout(seconds), pane.writing:
            for at in range(0, len(data), _CHUNK):
                await _until_read(pane.tty)
                await run(*_keystrokes(pane.pane, data[at : at + _CHUNK]))
    except TimeoutError as err:
        raise TerminalTimeout("The program did not read all of it in time.") from err
    except OSError as err:
        raise TerminalError(_ENDED) from err


def _keystrokes(pane: str, data: bytes) -> list[str]:
    """The commands that give these bytes to a program as they are."""
    pieces = [data[at : at + _KEYS] for at in range(0, len(data), _KEYS)]
    # A person may be reading back in the pane: then the keys would be for tmux.
    return [f"copy-mode -q -t {pane}", *(f"send-keys -H -t {pane} {piece.hex(' ')}" for piece in pieces)]


async def _until_read(tty: str) -> None:
    """Wait until the program has read almost all that it was given before."""
    pause = _FIRST_PAUSE
    while _unread(tty) > _CHUNK:
        # A terminal tells nobody that it was read.
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _unread(tty: str) -> int:
    """Bytes that wait in the terminal for its program. Raises `OSError` when the terminal is gone."""
    terminal = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        count = array.array("i", [0])
        fcntl.ioctl(terminal, termios.FIONREAD, count)
        return count[0]
    finally:
        os.close(terminal)
