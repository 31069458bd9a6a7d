"""The floor of typing: a byte to a program that echoes it, through the same holder that `semo up` uses."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from semo_agent.holder.client import HolderClient
from semo_agent.holder.launch import connect_or_launch
from semo_agent.holder.protocol import Header

DEADLINE_S = 10.0


@asynccontextmanager
async def echoing_holder() -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yields an exchange: one byte written, its echo read."""
    folder = Path(tempfile.mkdtemp(prefix="semo-echo-"))
    heard = asyncio.Event()

    def receive(header: Header, _body: bytes) -> None:
        if header["push"] == "output":
            heard.set()

    client = await connect_or_launch(folder, receive)
    receiving = asyncio.create_task(client.run(), name="holder connection")
    tab = await _open_echo(client)

    async def exchange() -> None:
        heard.clear()
        async with asyncio.timeout(DEADLINE_S):
            await client.write(tab, b"x", timeout=DEADLINE_S)
            await heard.wait()

    try:
        yield exchange
    finally:
        await client.request("end", tab=tab, grace=0.0, timeout=DEADLINE_S)
        await client.request("shutdown", grace=0.0)
        await receiving
        shutil.rmtree(folder)


async def _open_echo(client: HolderClient) -> str:
    tab: Header = await client.request(
        "open",
        tag="echo",
        argv=["sh", "-c", "stty raw -echo; exec cat"],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        cols=80,
        rows=24,
    )
    await client.request("attach", tab=tab["tab"], offset=0)
    name: str = tab["tab"]
    return name
