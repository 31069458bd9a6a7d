"""Which terminal a host uses: the one where its sessions live, else the one that was asked for, else the best here."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final, Literal

from semo_agent.errors import ConfigurationError, TerminalDied
from semo_agent.holder.client import HolderClient
from semo_agent.holder.place import socket_path
from semo_agent.holder.protocol import Header
from semo_agent.terminals.base import Terminal
from semo_agent.terminals.pty import PtyTerminal
from semo_agent.terminals.tmux.server import usable_tmux
from semo_agent.terminals.tmux.terminal import TmuxTerminal

TerminalName = Literal["auto", "pty", "tmux"]

TERMINALS: Final[dict[str, type[PtyTerminal] | type[TmuxTerminal]]] = {"pty": PtyTerminal, "tmux": TmuxTerminal}


async def choose_terminal(wanted: TerminalName, folder: Path) -> Terminal:
    """The terminal of the agent in `folder`. `auto`: where sessions live, else tmux where it can be used, else PTYs.

    Raises ConfigurationError where the choice can't be had, or would leave sessions behind.
    """
    living = await _living_tabs(folder)
    return TERMINALS[await _pick(wanted, living)](folder)


async def _pick(wanted: TerminalName, living: Counter[str]) -> str:
    if wanted == "auto":
        return living.most_common(1)[0][0] if living else await asyncio.to_thread(_best)
    for name, count in living.items():
        if name != wanted:
            who = "1 session lives" if count == 1 else f"{count} sessions live"
            raise ConfigurationError(
                f"{who} in {name}. `semo up --terminal {name}` goes on there, `semo down --end-sessions` ends it."
            )
    if wanted == "tmux":
        await asyncio.to_thread(usable_tmux)
    return wanted


def _best() -> str:
    try:
        usable_tmux()
    except ConfigurationError:
        return "pty"
    return "tmux"


async def _living_tabs(folder: Path) -> Counter[str]:
    """How many programs run in each terminal, by its name; only of terminals with any."""
    try:
        client = await HolderClient.connect(socket_path(folder), _ignore)
    except TerminalDied:
        return Counter()
    receiving = asyncio.create_task(client.run(), name="holder: which tabs live")
    try:
        tabs = (await client.request("list"))["tabs"]
    finally:
        await client.close()
        await receiving
    kinds = {terminal.kind: name for name, terminal in TERMINALS.items()}
    # A holder that was started before there were feeds has PTYs only, and says nothing of kinds.
    return Counter(kinds[tab.get("kind", PtyTerminal.kind)] for tab in tabs if tab["exit"] is None)


def _ignore(_header: Header, _body: bytes) -> None:
    """Nothing is pushed before it is asked for."""
