"""Starts the holder of a folder when none runs, and connects to it."""

import asyncio
import os
import sys
from pathlib import Path

import semo_agent
from semo_agent.errors import TerminalDied, TerminalTimeout
from semo_agent.holder.client import HolderClient, Push
from semo_agent.holder.place import make_private, socket_path

_SOURCES = Path(semo_agent.__file__).parents[1]


async def connect_or_launch(folder: Path, push: Push, *, timeout: float = 10.0) -> HolderClient:
    """A connection to the folder's holder, started if need be.

    Raises `TerminalDied` when it can't start, `TerminalTimeout` when that takes more than `timeout` seconds.
    """
    socket = socket_path(folder)
    try:
        return await HolderClient.connect(socket, push)
    except TerminalDied:
        await _launch(folder, timeout)
    return await HolderClient.connect(socket, push)


async def _launch(folder: Path, timeout: float) -> None:
    try:
        await asyncio.to_thread(make_private, folder)
        async with asyncio.timeout(timeout):
            process = await asyncio.create_subprocess_exec(
                # Without site-packages it starts in half the time; it needs none of them.
                *(sys.executable, "-S", "-m", "semo_agent.holder", "--folder", os.fspath(folder)),
                env={"PYTHONPATH": os.fspath(_SOURCES)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            said, complained = await process.communicate()
    except TimeoutError as err:
        raise TerminalTimeout(f"The holder of the terminals did not start within {timeout:g} s.") from err
    except OSError as err:
        raise TerminalDied(f"The holder of the terminals can't be started: {err}") from err
    if process.returncode or not said:
        last = complained.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise TerminalDied(f"The holder of the terminals can't be started: {last or process.returncode}")
