"""The hints of one office: a supervised subscription, and whom it wakes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from pydantic import JsonValue

from semo_office.config import Credentials
from semo_office.errors import ConfigurationError, LinkError
from semo_office.link.socket import Broadcast, Hint, HintSocket, Inbox, OpenedSocket, OpenSocket
from semo_office.link.timing import Backoff, Timing, unless

WATCHDOG_S: Final = 10.0
FLAPPING_S: Final = 5.0
RENEW_BEFORE: Final = timedelta(minutes=2)

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Whoever wants to know. Called in the supervisor's task: must neither block nor raise."""

    def on_hint(self, hint: Hint) -> None:
        """A row changed."""

    def on_gap(self) -> None:
        """Hints may have been missed: look at everything."""

    def on_change(self) -> None:
        """The subscription came, went or ended."""


class Hearer(Protocol):
    """Whoever wants what is broadcast. Called in the supervisor's task: must neither block nor raise."""

    def on_broadcast(self, broadcast: Broadcast) -> None:
        """Somebody sent something."""

    def on_gap(self) -> None:
        """Broadcasts may have been missed."""

    def on_change(self) -> None:
        """The subscription came, went or ended."""


class OfficeHints:
    """Keeps the private topic `office:{id}` joined, whatever happens to sockets, tokens and servers.

    `run` is the supervisor; it ends only by `stop`. `joined`: hints arrive now.
    """

    def __init__(
        self,
        office_id: UUID,
        open_socket: OpenSocket,
        renew: Callable[[], Awaitable[Credentials]],
        timing: Timing,
        on_change: Callable[[], None],
    ) -> None:
        self.office_id = office_id
        self.joined = False
        self.last_fault: str | None = None
        self._open_socket = open_socket
        self._renew = renew
        self._timing = timing
        self._on_change = on_change
        self._listeners: set[Listener] = set()
        self._behind: set[Listener] = set()
        self._hearers: set[Hearer] = set()
        self._socket: HintSocket | None = None
        self._stopping = asyncio.Event()
        self._retry_now = asyncio.Event()
        self._inbox = Inbox()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    @property
    def catching_up(self) -> bool:
        """Somebody has not yet read what was missed."""
        return bool(self._behind)

    def add(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        self.caught_up(listener)

    def hear(self, hearer: Hearer) -> None:
        self._hearers.add(hearer)

    def unhear(self, hearer: Hearer) -> None:
        self._hearers.discard(hearer)

    async def send(self, name: str, payload: dict[str, JsonValue]) -> None:
        """Broadcast on the topic. Raises LinkError when that can't be done now."""
        if self._socket is None or not self.joined:
            raise LinkError("The office's Realtime is not connected.")
        await self._socket.send(name, payload)

    def fall_behind(self, listener: Listener) -> None:
        self._behind.add(listener)

    def caught_up(self, listener: Listener) -> None:
        if listener in self._behind:
            self._behind.discard(listener)
            self._on_change()

    def stop(self) -> None:
        self._stopping.set()
        self._retry_now.set()
        self._inbox.bell.set()
        self._tell_change()

    def hurry(self) -> None:
        """The office answers again: the next try need not wait any longer."""
        self._retry_now.set()

    async def run(self) -> None:
        """Connect, attend, and after any fault do it again, for ever."""
        backoff = Backoff(self._timing.random)
        while not self.stopped:
            lasted = await self._connection()
            # A subscription that breaks at once counts as a failed try: else it would flap every few hundred ms.
            if lasted >= FLAPPING_S:
                backoff.reset()
            self._retry_now.clear()
            if not self.stopped:
                await self._timing.rings(self._retry_now, backoff.next())

    async def _connection(self) -> float:
        """One socket from its opening to its fault or the stop; how long it was joined, s."""
        self._inbox, opened, joined_at = Inbox(), None, None
        try:
            opened = await self._open_socket(self._inbox)
            await unless(self._stopping, opened.socket.join(f"office:{self.office_id}"), f"join {self.office_id}")
            joined_at = self._timing.clock()
            self._socket = opened.socket
            if not self.stopped:
                self._join()
            await self._attend(opened)
        except (LinkError, ConfigurationError) as err:
            self.last_fault = str(err)
            log.info("hints of office %s lost: %s", self.office_id, err)
        finally:
            self._part()
            self._socket = None
            if opened is not None:
                await opened.socket.close()
        return 0.0 if joined_at is None else self._timing.clock() - joined_at

    async def _attend(self, opened: OpenedSocket) -> None:
        """Pass hints on until the stop. Raises LinkError at the first sign of a fault."""
        clock, expires_at = self._timing.clock, opened.expires_at
        check_at = clock() + WATCHDOG_S
        while not self.stopped:
            await self._timing.rings(self._inbox.bell, check_at - clock())
            self._pass_on(self._inbox)
            if self._inbox.fault:
                raise LinkError(f"The office's Realtime went away: {self._inbox.fault}.")
            if clock() >= check_at:
                check_at = clock() + WATCHDOG_S
                expires_at = await self._check(opened.socket, expires_at)

    async def _check(self, socket: HintSocket, expires_at: datetime) -> datetime:
        """See that the socket still delivers and the token lasts; when that expires. Raises LinkError."""
        if fault := socket.fault():
            raise LinkError(f"The office's Realtime is dead: {fault}.")
        if expires_at - self._timing.now() > RENEW_BEFORE:
            return expires_at
        credentials = await self._renew()
        if credentials.expires_at != expires_at:
            await socket.renew(credentials.access_token)
        return credentials.expires_at

    def _pass_on(self, inbox: Inbox) -> None:
        inbox.bell.clear()
        while inbox.hints:
            hint = inbox.hints.popleft()
            for listener in tuple(self._listeners):
                listener.on_hint(hint)
        while inbox.broadcasts:
            broadcast = inbox.broadcasts.popleft()
            for hearer in tuple(self._hearers):
                hearer.on_broadcast(broadcast)
        if inbox.overflowed:
            inbox.overflowed = False
            self._tell_gap()

    def _join(self) -> None:
        self.joined, self.last_fault = True, None
        # Whatever was written before the office accepted the join went by unheard.
        self._tell_gap()
        self._tell_change()

    def _part(self) -> None:
        if self.joined:
            self.joined = False
            self._tell_change()

    def _tell_gap(self) -> None:
        for each in self._everybody():
            each.on_gap()

    def _tell_change(self) -> None:
        for each in self._everybody():
            each.on_change()
        self._on_change()

    def _everybody(self) -> tuple[Listener | Hearer, ...]:
        return (*self._listeners, *self._hearers)
