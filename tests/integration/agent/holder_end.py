"""Ends the holder of a folder, and all that runs in it."""

import asyncio
import contextlib
from pathlib import Path

from semo_agent.errors import TerminalDied
from semo_agent.holder.client import HolderClient
from semo_agent.holder.place import socket_path


async def end_holder(folder: Path) -> None:
    """No holder is no error."""
    with contextlib.suppress(TerminalDied):
        client = await HolderClient.connect(socket_path(folder), lambda _header, _body: None)
        running = asyncio.create_task(client.run(), name="holder client")
        with contextlib.suppress(TerminalDied):
            await client.request("shutdown", grace=0.5, timeout=10.0)
        await client.close()
        await running
