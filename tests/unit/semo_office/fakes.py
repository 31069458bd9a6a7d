"""Time that a test moves, a socket and a table that a test speaks for.

`tests/integration/office/test_socket.py` holds the fake socket to the contract that the real one passes.
"""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue, SecretStr

from semo_office.config import Credentials
from semo_office.errors import LinkError
from semo_office.link import Row, Timing
from semo_office.link.filters import Filter
from semo_office.link.socket import Inbox, OpenedSocket

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(50):
        await asyncio.sleep(0)


class ManualTime:
    """A clock that only `advance` moves. `chance` is what random returns."""

    def __init__(self, chance: float = 0.5) -> None:
        self.elapsed = 0.0
        self.chance = chance
        self.sleeps: list[float] = []
        self._due: list[tuple[float, int, asyncio.Future[None]]] = []

    @property
    def timing(self) -> Timing:
        return Timing(clock=lambda: self.elapsed, sleep=self.sleep, random=lambda: self.chance, now=self.now)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.elapsed)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._due, (self.elapsed + seconds, len(self.sleeps), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its own moment."""
        end = self.elapsed + seconds
        await settle()
        while self._due and self._due[0][0] <= end:
            due, _, woken = heapq.heappop(self._due)
            if not woken.done():
                self.elapsed = max(self.elapsed, due)
                woken.set_result(None)
                await settle()
        self.elapsed = end
        await settle()


def make_credentials(token: str = "token", *, lasts_s: float = 3600.0, url: str = "http://127.0.0.1:1") -> Credentials:
    return Credentials(
        url=url,
        publishable_key="sb_publishable_x",
        user_id="user",
        access_token=SecretStr(token),
        expires_at=EPOCH + timedelta(seconds=lasts_s),
    )


class FakeSocket:
    """A `HintSocket` whose far side is the test: `hint` and `break_down` are what a server would do."""

    def __init__(self, inbox: Inbox, refusal: str | None = None) -> None:
        self.inbox = inbox
        self.refusal = refusal
        self.topic: str | None = None
        self.tokens: list[str] = []
        self.sent: list[tuple[str, dict[str, JsonValue]]] = []
        self.closed = False
        self.dead = False

    async def join(self, topic: str) -> None:
        if self.refusal or self.closed:
            raise LinkError(f"The office's Realtime refuses {topic}: {self.refusal or 'closed'}.")
        self.topic = topic

    async def send(self, name: str, payload: dict[str, JsonValue]) -> None:
        if fault := self.fault():
            raise LinkError(f"The office's Realtime is not connected: {fault}.")
        self.sent.append((name, payload))

    async def renew(self, token: SecretStr) -> None:
        self.tokens.append(token.get_secret_value())

    def fault(self) -> str | None:
        if self.closed or self.dead:
            return "the socket is closed"
        return None if self.topic else "the channel is not joined"

    async def close(self) -> None:
        self.closed = True

    def hint(self, table: str, key: str, version: int) -> None:
        self.inbox.hear({"event": "hint", "payload": {"table": table, "id": key, "version": version}})

    def broadcast(self, name: str, payload: dict[str, JsonValue]) -> None:
        """Somebody else sends this."""
        self.inbox.hear_broadcast({"event": name, "payload": payload})

    def break_down(self, reason: str = "CLOSED") -> None:
        self.dead = True
        self.inbox.lose(reason)

    def die_silently(self) -> None:
        self.dead = True


class FakeSockets:
    """Opens fake sockets; `refusals` are the reasons why the next joins fail, None in between for one that works."""

    def __init__(self, *refusals: str | None) -> None:
        self.opened: list[FakeSocket] = []
        self.refusals = list(refusals)
        self.expires_at = EPOCH + timedelta(days=7)

    @property
    def last(self) -> FakeSocket:
        return self.opened[-1]

    async def open(self, inbox: Inbox) -> OpenedSocket:
        self.opened.append(FakeSocket(inbox, self.refusals.pop(0) if self.refusals else None))
        return OpenedSocket(self.last, self.expires_at)


class FakeTable:
    """Rows with `id`, `version` and `updated_at`, read as REST reads them for a watch."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._versions = 0
        self.rows: dict[str, Row] = {}
        self.reads = 0
        self.away = False

    def write(self, key: str, *, committed_late_s: float = 0.0, **values: str) -> int:
        self._versions += 1
        changed = self._now() - timedelta(seconds=committed_late_s)
        self.rows[key] = {"id": key, "version": self._versions, "updated_at": changed.isoformat(), **values}
        return self._versions

    async def select(
        self,
        table: str,
        *,
        columns: str = "*",
        filters: Sequence[Filter] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Row]:
        self.reads += 1
        if self.away:
            raise LinkError("The office can't be reached.")
        found = [row for row in self.rows.values() if all(_matches(row, each) for each in filters)]
        found.sort(key=lambda row: [str(row[column]).rjust(20) for column in order])
        return found[:limit]


def _matches(row: Row, condition: Filter) -> bool:
    value = row.get(condition.column)
    match condition.operator:
        case "eq":
            return str(value) == condition.value
        case "gt":
            return int(str(value)) > int(condition.value)
        case "gte":
            return str(value) >= condition.value
        case "in":
            return f'"{value}"' in condition.value
        case _:
            raise AssertionError(f"the fake does not know the filter {condition.operator!r}")
