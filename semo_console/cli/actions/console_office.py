"""The office behind a console. Loaded after the first paint, since the libraries of the link take long."""

import asyncio

from semo_console.app import ConsoleApp
from semo_console.wire import OfficeWire
from semo_office.config import CredentialsFile
from semo_office.link import Link
from semo_office.locations import StateFolder


async def serve(state: StateFolder, app: ConsoleApp, stop: asyncio.Event) -> None:
    """Connect the console until `stop` is set. Raises OfficeError, and what a part of the link failed with."""
    source = CredentialsFile(state, "operator")
    credentials = await asyncio.to_thread(source)
    async with await Link.open(source) as link:
        wire = OfficeWire(
            link,
            credentials.user_id,
            tell=app.tell,
            tell_output=app.tell_output,
        )
        app.connect(wire)
        serving = asyncio.create_task(wire.serve(), name="wire")
        stopping = asyncio.create_task(stop.wait(), name="wire: stop")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await wire.stop()
        await serving
