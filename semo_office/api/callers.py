"""One link for each token that is used: the office itself decides what its bearer sees and may do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr

from semo_office.api.problems import overloaded
from semo_office.config import Credentials
from semo_office.errors import NotAuthenticated
from semo_office.link import CredentialsSource, Link
from semo_office.stopping import Stop, Tasks

CALLERS_MAX: Final = 64
IDLE_S: Final = 300.0
SWEEP_S: Final = 30.0
# Nobody here can renew a caller's token: the office ends what was opened with it, and the caller comes with another.
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

OpenLink = Callable[[CredentialsSource], Awaitable[Link]]


@dataclass
class Caller:
    """Somebody with a token. `users`: requests that are under way."""

    link: Link
    users: int = 0
    idle_since: float = 0.0
    refused: bool = field(default=False)


class Callers:
    """Links by token, kept by its hash: as many as are used at once, and those used last.

    `office`: where the office is, from the server's own credentials; blocking. clock: monotonic, s.
    """

    def __init__(
        self,
        office: CredentialsSource,
        tasks: Tasks,
        clock: Callable[[], float],
        *,
        open_link: OpenLink = Link.open,
        most: int = CALLERS_MAX,
    ) -> None:
        self._office = office
        self._tasks = tasks
        self._clock = clock
        self._open_link = open_link
        self._most = most
        self._callers: dict[bytes, Caller] = {}
        self._opening = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._callers)

    @asynccontextmanager
    async def link_of(self, token: SecretStr) -> AsyncIterator[Link]:
        """The link of this token's bearer. Raises Refused (503) when too many are at work, ConfigurationError."""
        key = hashlib.sha256(token.get_secret_value().encode()).digest()
        caller = await self._enter(key, token)
        try:
            yield caller.link
        except NotAuthenticated:
            caller.refused = True
            raise
        finally:
            caller.users -= 1
            caller.idle_since = self._clock()
            if caller.refused and not caller.users:
                await self._part(key, caller)

    async def keep_few(self, stop: Stop) -> None:
        """Close what nobody has used for a while, until the stop; then all."""
        while not await stop.within(SWEEP_S):
            await self.sweep()
        for key, caller in tuple(self._callers.items()):
            await self._part(key, caller)

    async def sweep(self) -> None:
        """Close what has been idle for too long."""
        for key, caller in tuple(self._callers.items()):
            if not caller.users and self._clock() - caller.idle_since >= IDLE_S:
                await self._part(key, caller)

    async def _enter(self, key: bytes, token: SecretStr) -> Caller:
        async with self._opening:
            caller = self._callers.get(key)
            if caller is None:
                await self._make_room()
                caller = self._callers[key] = Caller(await self._open_link(lambda: self._credentials(token)))
                self._tasks.start("link of a caller", caller.link.wait_closed())
            caller.users += 1
            return caller

    async def _make_room(self) -> None:
        if len(self._callers) < self._most:
            return
        idle = [(caller.idle_since, key) for key, caller in self._callers.items() if not caller.users]
        if not idle:
            raise overloaded("Too many callers are at work; try again in a moment.")
        _, key = min(idle)
        await self._part(key, self._callers[key])

    async def _part(self, key: bytes, caller: Caller) -> None:
        if self._callers.get(key) is caller:
            del self._callers[key]
        await caller.link.close()

    def _credentials(self, token: SecretStr) -> Credentials:
        """Blocking. Read anew each time: a hub that was started again may be elsewhere. Raises ConfigurationError."""
        office = self._office()
        return office.model_copy(update={"access_token": token, "user_id": "", "expires_at": _NEVER})
