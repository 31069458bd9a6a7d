"""Which terminal this host uses."""

import asyncio
from collections import Counter
from enum import StrEnum
from pathlib import Path

from semo_agent.errors import ConfigurationError, TerminalDied
from semo_agent.holder.client import HolderClient
from semo_agent.holder.place import socket_path
from semo_agent.terminals.base import Terminal
from semo_agent.terminals.pty import PtyTerminal
from semo_agent.terminals.tmux.server import usable_tmux
from semo_agent.terminals.tmux.terminal import TmuxTerminal


class TerminalChoice(StrEnum):
    """What an operator can ask for. `auto`: where sessions live already, else tmux if there is one, else PTY."""

    AUTO = "auto"
    PTY = "pty"
    TMUX = "tmux"


_TERMINALS: dict[str, type[PtyTerminal | TmuxTerminal]] = {"pty": PtyTerminal, "tmux": TmuxTerminal}


async def choose_terminal(folder: Path, choice: TerminalChoice) -> Terminal:
    """The terminal of an agent's folder, not yet started. Sessions that live there decide: none is left behind.

    Raises `ConfigurationError` for a choice that can't be had, or that would leave sessions behind.
    """
    living = await _count_living(folder)
    if choice is TerminalChoice.AUTO:
        name = max(living, key=lambda name: living[name]) if living else await asyncio.to_thread(_best)
        return _TERMINALS[name](folder)
    _refuse_to_strand(living, choice)
    if choice is TerminalChoice.TMUX:
        await asyncio.to_thread(usable_tmux)
    return _TERMINALS[choice](folder)


async def _count_living(folder: Path) -> Counter[str]:
    """Tabs with a program in them, by the name of their terminal; the holder knows those of both."""
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
    kinds = {terminal.kind: name for name, terminal in _TERMINALS.items()}
    # A holder of before there were feeds says neither kind nor over.
    return Counter(kinds[tab.get("kind", "pty")] for tab in tabs if not tab.get("over", tab["exit"] is not None))


def _refuse_to_strand(living: Counter[str], choice: TerminalChoice) -> None:
    stranded = {name: count for name, count in living.items() if name != choice}
    for name, count in stranded.items():
        sessions = "1 session lives" if count == 1 else f"{count} sessions live"
        raise ConfigurationError(
            f"{sessions} in {name}; choose --terminal {name}, or end them first with `semo down --end-sessions`."
        )


def _best() -> str:
    try:
        usable_tmux()
    except ConfigurationError:
        return "pty"
    return "tmux"
