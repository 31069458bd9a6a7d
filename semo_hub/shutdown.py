"""The one signal by which everything in the hub stops."""

import asyncio


class Shutdown:
    """Is set once; whoever waits for something waits for this as well."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    def request(self) -> None:
        self._requested.set()

    async def wait(self) -> None:
        await self._requested.wait()

    async def within(self, seconds: float) -> bool:
        """Wait for the stop, at most `seconds`; tells whether it came."""
        try:
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        except TimeoutError:
            return False
        return True
