"""The connections of REST, as one thing that can be given up."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx


class Pool:
    """Hands out the client over the newest connections. Those before are closed once nobody uses them any more."""

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self.make = make
        self.newest = make()
        self._users: dict[httpx.AsyncClient, int] = {}

    @asynccontextmanager
    async def used(self, http: httpx.AsyncClient) -> AsyncIterator[None]:
        """Keep these connections while the block runs."""
        self._users[http] = self._users.get(http, 0) + 1
        try:
            yield
        finally:
            self._users[http] -= 1
            if not self._users[http]:
                del self._users[http]
                if http is not self.newest:
                    await http.aclose()

    async def adopt(self, fresh: httpx.AsyncClient) -> None:
        """Use these from now on. A network that dropped one connection without a word has dropped the others too."""
        before, self.newest = self.newest, fresh
        if before not in self._users:
            await before.aclose()

    async def close(self) -> None:
        """Break off what is under way too. Again is no error."""
        for http in (self.newest, *self._users):
            await http.aclose()
