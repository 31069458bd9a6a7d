"""The supervised connection to an office."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from pydantic import JsonValue

from semo_office.errors import LinkError
from semo_office.link.broadcasts import Broadcasts
from semo_office.link.expectation import Expectation
from semo_office.link.filters import Filter
from semo_office.link.health import Health, LinkState, LinkStatus
from semo_office.link.hints import OfficeHints
from semo_office.link.requests import DEADLINE_S, CredentialsSource, Requests, Row
from semo_office.link.socket import OpenSocket, opener
from semo_office.link.timing import Timing
from semo_office.link.watch import Watch
from semo_office.sleep import SleepWatch

STOP_S: Final = 3.0
RING_S: Final = 5.0


class Link:
    """One process's way to its offices: functions, tables, hints. Open it with `Link.open`, once.

    A fault of the network is lived through. A fault of the link itself ends it: `wait_closed` raises, and so does every
    wait that is under way; the process should end.
    """

    def __init__(self, requests: Requests, health: Health, timing: Timing, open_socket: OpenSocket) -> None:
        self._requests = requests
        self._health = health
        self._timing = timing
        self._open_socket = open_socket
        self._offices: dict[UUID, OfficeHints] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._failure: BaseException | None = None
        self._was_offline = False
        health.listen(self._hurry_when_back)

    @classmethod
    async def open(
        cls,
        credentials_source: CredentialsSource,
        *,
        timing: Timing | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> "Link":
        """Read the credentials; nothing is sent before the first call. Raises ConfigurationError.

        `credentials_source` blocks and is called in a thread: now, before every new socket and every
        repeated request, and after a refused token. `transport`: what carries REST, None: the network.
        """
        timing = timing or Timing()
        health = Health(timing.now)
        requests = await Requests.open(credentials_source, timing, health.note_reached, transport=transport)
        return cls(requests, health, timing, opener(requests))

    async def __aenter__(self) -> "Link":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End subscriptions, watches and waits; within some 3 s. Again is no error. Never raises."""
        for hints in self._offices.values():
            hints.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        self._closed.set()
        await self._requests.close()

    async def wait_closed(self) -> None:
        """Until the link is closed. Raises LinkError, with its cause, when a part of it failed."""
        await self._closed.wait()
        self._check()

    @property
    def clock(self) -> Callable[[], float]:
        """Monotonic, s: the one that the link's own waits go by."""
        return self._timing.clock

    def sleep_watch(self) -> SleepWatch:
        """Whether the machine sleeps from now on, by the link's own clocks."""
        return SleepWatch(self._timing.clock, lambda: self._timing.now().timestamp())

    @property
    def timing(self) -> Timing:
        """The clock and the sleep that the link's own waits go by."""
        return self._timing

    @property
    def status(self) -> LinkStatus:
        return self._health.status

    def on_status(self, listener: Callable[[LinkStatus], None]) -> Callable[[], None]:
        """Tell the listener the status now and at every change, until the returned function is called."""
        return self._health.listen(listener)

    async def rpc(
        self, name: str, args: dict[str, JsonValue], *, deadline: float = DEADLINE_S, retry: bool = False
    ) -> JsonValue:
        """Call a function. deadline: s, tries included; `retry`: the call does no harm when it is made again.

        Raises LinkError (LinkTimeout, NotAuthenticated), CommandError, RequestRejected.
        """
        return await self._requests.rpc(name, args, deadline=deadline, retry=retry)

    async def select(
        self,
        table: str,
        *,
        columns: str = "*",
        filters: Iterable[Filter] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
        deadline: float = DEADLINE_S,
    ) -> list[Row]:
        """Rows in `order` (`-column`: descending), at most `limit`, None: all. deadline: s for each 1000 rows.

        Raises as `rpc`.
        """
        return await self._requests.select(
            table, columns=columns, filters=filters, order=order, limit=limit, deadline=deadline
        )

    def subscribe(self, office_id: UUID) -> OfficeHints:
        """Listen to the office's private topic from now on; once for each office, however often it is called."""
        if self._closed.is_set():
            self._check()
            raise LinkError("The link to the office is closed.")
        hints = self._offices.get(office_id)
        if hints is None:
            hints = OfficeHints(
                office_id,
                self._open_socket,
                self._requests.renew,
                partial(self._ring, office_id),
                self._timing,
                self._health.judge,
            )
            self._offices[office_id] = hints
            self._health.include(hints)
            self._start(hints.run(), f"hints of office {office_id}")
        return hints

    def expect(self, office_id: UUID, *keys: tuple[str, UUID | None]) -> Expectation:
        """A waiter for rows: tables and keys that their hints carry, None: any. Enter it before they are written."""
        wanted = frozenset((table, None if key is None else str(key)) for table, key in keys)
        return Expectation(self.subscribe(office_id), wanted, self._timing, self._check)

    def listen(self, office_id: UUID, *names: str) -> Broadcasts:
        """What is broadcast on the office's topic under these names. Enter it before what is waited for is asked."""
        return Broadcasts(self.subscribe(office_id), frozenset(names), self._timing, self._check)

    async def send(self, office_id: UUID, name: str, payload: dict[str, JsonValue]) -> None:
        """Broadcast on the office's topic, now or never. Who may not write there is not told so. Raises LinkError."""
        await self.subscribe(office_id).send(name, payload)

    def watch(self, table: str, *, office_id: UUID, key: str, filters: Iterable[Filter] = ()) -> AsyncGenerator[Row]:
        """The rows that match now, then every row that comes to match or changes, until the link closes.

        Misses none for good, may repeat one. `key` is the column that the table's hints carry. Close the generator
        (`contextlib.aclosing`) to stop early. Raises RequestRejected for a table or filter that does not exist.
        """
        return Watch(
            self.subscribe(office_id), self._requests, table, tuple(filters), key, self._timing, self._check
        ).rows()

    async def _ring(self, office_id: UUID) -> None:
        """Make the office send something to everybody who listens to it. Raises as `rpc`."""
        args: dict[str, JsonValue] = {"p_office_id": str(office_id), "p_nonce": str(uuid4())}
        await self._requests.rpc("ring_office", args, deadline=RING_S, retry=True)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and self._failure is None:
            self._failure = failure
            for hints in self._offices.values():
                hints.stop()
            self._closed.set()

    def _hurry_when_back(self, status: LinkStatus) -> None:
        if self._was_offline:
            for hints in self._offices.values():
                hints.hurry()
        self._was_offline = status.state is LinkState.OFFLINE

    def _check(self) -> None:
        if self._failure is not None:
            raise LinkError(f"The link to the office failed: {self._failure!r}.") from self._failure
