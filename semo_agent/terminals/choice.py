"""Which terminal this host uses, and why."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from semo_agent.errors import ConfigurationError, TerminalDied, TerminalError
from semo_agent.holder.client import HolderClient
from semo_agent.holder.place import socket_path
from semo_agent.terminals.base import Terminal
from semo_agent.terminals.pty import PtyTerminal
from semo_agent.terminals.tmux.terminal import TmuxTerminal


class TerminalChoice(StrEnum):
    """What an operator can ask for. `auto`: where sessions live already, else the best that this machine has."""

    AUTO = "auto"
    PTY = "pty"
    TMUX = "tmux"
    ITERM2 = "iterm2"


_BY_KIND: Final = {"pty": TerminalChoice.PTY, "feed": TerminalChoice.TMUX, "iterm2": TerminalChoice.ITERM2}
"""What the holder calls their tabs."""


async def choose_terminal(
    folder: Path, choice: TerminalChoice, *, on_a_mac: bool = sys.platform == "darwin"
) -> Terminal:
    """The terminal of an agent's folder, not yet started. Sessions that live there decide: none is left behind.

    Raises `ConfigurationError` for a choice that can't be had, or that would leave sessions behind.
    """
    living = await _count_living(folder)
    if choice is TerminalChoice.AUTO and not living:
        return await _best(folder, on_a_mac)
    if choice is TerminalChoice.AUTO:
        choice = max(living, key=lambda name: living[name])
        why = f"{_sessions(living[choice])} there"
    else:
        _refuse_to_strand(living, choice)
        why = f"--terminal {choice} asks for it"
    # What lives in it is looked after, even where nothing new can be started in it now.
    return await (_take if living else _see_usable)(folder, choice, why)


async def _best(folder: Path, on_a_mac: bool) -> Terminal:
    refused = ""
    for choice, why in _wishes(on_a_mac):
        try:
            return await _see_usable(folder, choice, f"{why}{refused}")
        except ConfigurationError as err:
            refused += f"; {err}"
    return await _take(folder, TerminalChoice.PTY, f"it needs nothing else{refused}")


def _wishes(on_a_mac: bool) -> Iterator[tuple[TerminalChoice, str]]:
    if on_a_mac:
        yield TerminalChoice.ITERM2, "iTerm2 answers"
    yield TerminalChoice.TMUX, "tmux is installed"


async def _see_usable(folder: Path, choice: TerminalChoice, why: str) -> Terminal:
    """The terminal, when something can be started in it now. Raises `ConfigurationError`."""
    terminal = await _take(folder, choice, why)
    try:
        await terminal.see_usable()
    except TerminalError as err:
        await terminal.stop()
        raise ConfigurationError(str(err)) from err
    return terminal


async def _take(folder: Path, choice: TerminalChoice, why: str) -> Terminal:
    terminal = await asyncio.to_thread(_make, folder, choice)
    terminal.why = why
    return terminal


def _make(folder: Path, choice: TerminalChoice) -> Terminal:
    if choice is TerminalChoice.TMUX:
        return TmuxTerminal(folder)
    if choice is TerminalChoice.PTY:
        return PtyTerminal(folder)
    # Its library is loaded where it is asked for only.
    from semo_agent.terminals.iterm2.terminal import ITerm2Terminal

    return ITerm2Terminal(folder)


async def _count_living(folder: Path) -> Counter[TerminalChoice]:
    """Tabs with a program in them, by their terminal; the holder knows those of all."""
    try:
        client = await HolderClient.connect(socket_path(folder), lambda _header, _body: None)
    except TerminalDied:
        return Counter()
    receiving = asyncio.create_task(client.run(), name="holder connection")
    try:
        tabs = (await client.request("list"))["tabs"]
    finally:
        await client.close()
        await receiving
    # A holder of before there were feeds says neither kind nor over.
    return Counter(_BY_KIND[tab.get("kind", "pty")] for tab in tabs if not tab.get("over", tab["exit"] is not None))


def _refuse_to_strand(living: Counter[TerminalChoice], choice: TerminalChoice) -> None:
    for name, count in living.items():
        if name != choice:
            raise ConfigurationError(
                f"{_sessions(count)} in {name}; choose --terminal {name}, "
                "or end them first with `semo down --end-sessions`."
            )


def _sessions(count: int) -> str:
    return "1 session lives" if count == 1 else f"{count} sessions live"
