"""The REST half of the link: functions and tables, with deadlines, retries and a token that is read anew."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from postgrest.exceptions import APIError
from pydantic import JsonValue
from supabase import AsyncClient, AsyncClientOptions, AsyncSupabaseException

from semo_office.config import Credentials
from semo_office.errors import ConfigurationError, LinkError, LinkTimeout, NotAuthenticated, OfficeError
from semo_office.link.filters import Filter
from semo_office.link.pool import Pool
from semo_office.link.timing import Backoff, Timing
from semo_office.link.translation import from_answer, from_network

T = TypeVar("T")
Row = dict[str, JsonValue]
CredentialsSource = Callable[[], Credentials]

DEADLINE_S: Final = 10.0
# A connection that a network dropped without a word answers nothing: the first attempt gives it up soon. An office that
# is only slow gets longer with each.
ATTEMPT_FIRST_S: Final = 2.0
ATTEMPTS_MAX: Final = 6
RETRY_FIRST_S: Final = 0.2
RETRY_LONGEST_S: Final = 2.0
CONNECT_S: Final = 5.0
KEEP_ALIVE_S: Final = 45.0
LAST_ANSWERS_S: Final = 2.0
CONNECTIONS_MAX: Final = 20
# On this machine more of them carry no more, and with each request the library looks at every one that is idle: 20
# cost a third of the time of a request.
CONNECTIONS_MAX_LOOPBACK: Final = 8
PAGE_ROWS: Final = 1000

# PostgREST's error body has no status, and the library drops it; the hook runs in the task of its request.
_status: ContextVar[int] = ContextVar("status of the last answer", default=0)


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def make_client(credentials: Credentials, http: httpx.AsyncClient) -> AsyncClient:
    """The library's client for one token. It renews nothing itself and reconnects nothing: the link does both."""
    options = AsyncClientOptions(
        headers={"Authorization": f"Bearer {credentials.access_token.get_secret_value()}"},
        auto_refresh_token=False,
        persist_session=False,
        httpx_client=http,
        postgrest_client_retry=False,
        realtime={"auto_reconnect": False, "max_retries": 1},
    )
    try:
        return await AsyncClient.create(credentials.url, credentials.publishable_key, options)
    except AsyncSupabaseException as err:
        raise ConfigurationError(f"The address or key of the office is not valid: {err}.") from err


class Requests:
    """Calls of functions and reads of tables, under the identity that `source` names.

    Raises LinkError (LinkTimeout, NotAuthenticated), CommandError, RequestRejected and ConfigurationError.
    """

    def __init__(
        self,
        source: CredentialsSource,
        credentials: Credentials,
        client: AsyncClient,
        pool: Pool,
        timing: Timing,
        note_reached: Callable[[bool], None],
    ) -> None:
        self._source = source
        self._credentials = credentials
        self._client = client
        self._pool = pool
        self._changing = asyncio.Lock()
        self._timing = timing
        self._note_reached = note_reached
        self._closing = False
        self._under_way = 0
        self._idle = asyncio.Event()

    @classmethod
    async def open(
        cls,
        source: CredentialsSource,
        timing: Timing,
        note_reached: Callable[[bool], None],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> "Requests":
        """Read the credentials for the first time; nothing is sent yet. Raises ConfigurationError."""
        credentials = await asyncio.to_thread(source)
        pool = Pool(partial(_make_http, is_loopback(credentials.url), transport))
        client = await make_client(credentials, pool.newest)
        return cls(source, credentials, client, pool, timing, note_reached)

    async def close(self) -> None:
        """Take no more requests, let those under way end for some 2 s, then break them off. Again is no error."""
        self._closing = True
        if self._under_way:
            await self._timing.rings(self._idle, LAST_ANSWERS_S)
        await self._pool.close()

    async def renew(self) -> Credentials:
        """Read the credentials anew and act with them from now on. Raises ConfigurationError."""
        fresh = await asyncio.to_thread(self._source)
        async with self._changing:
            if fresh != self._credentials:
                self._client, self._credentials = await make_client(fresh, self._pool.newest), fresh
        return fresh

    async def new_client(self) -> tuple[AsyncClient, Credentials]:
        """A client of its own for one socket, with credentials read anew. Raises ConfigurationError."""
        credentials = await self.renew()
        return await make_client(credentials, self._pool.newest), credentials

    async def rpc(
        self, name: str, args: dict[str, JsonValue], *, deadline: float = DEADLINE_S, retry: bool = False
    ) -> JsonValue:
        """Call a function. deadline: s, tries included; `retry`: the call does no harm when it is made again."""

        async def call(client: AsyncClient) -> JsonValue:
            answer = await client.rpc(name, args).execute()
            # Declared as a list by the library; it is whatever JSON the function returned.
            data: Any = answer.data
            return data  # type: ignore[no-any-return]

        return await self._persist(call, deadline, ATTEMPTS_MAX if retry else 1)

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
        """Rows in `order` (`-column`: descending), at most `limit`.

        In pages of 1000, by offset: order by what does not change.
        """
        filters, rows = tuple(filters), list[Row]()
        while True:
            size = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - len(rows))
            page = await self._page(table, columns, filters, order, size, len(rows), deadline)
            rows += page
            if len(page) < size or len(rows) == limit:
                return rows

    async def _page(
        self,
        table: str,
        columns: str,
        filters: tuple[Filter, ...],
        order: Sequence[str],
        size: int,
        offset: int,
        deadline: float,
    ) -> list[Row]:
        async def call(client: AsyncClient) -> list[Row]:
            query: Any = client.table(table).select(columns)
            for condition in filters:
                query = query.filter(condition.column, condition.operator, condition.value)
            for column in order:
                query = query.order(column.removeprefix("-"), desc=column.startswith("-"))
            query = query.limit(size) if offset == 0 else query.range(offset, offset + size - 1)
            answer = await query.execute()
            rows: list[Row] = answer.data
            return rows

        return await self._persist(call, deadline, ATTEMPTS_MAX)

    async def _persist(self, call: Callable[[AsyncClient], Awaitable[T]], deadline: float, attempts: int) -> T:
        end = self._timing.clock() + deadline
        backoff = Backoff(self._timing.random, first=RETRY_FIRST_S, longest=RETRY_LONGEST_S)
        for attempt in range(attempts):
            left = end - self._timing.clock()
            try:
                return await self._authenticated(
                    call, left if attempts == 1 else min(left, ATTEMPT_FIRST_S * 2.0**attempt)
                )
            except NotAuthenticated:
                raise
            except LinkError:
                pause = backoff.next()
                if attempt == attempts - 1 or self._closing or self._timing.clock() + pause >= end:
                    raise
            await self._timing.sleep(pause)
            # A hub that was started again may be elsewhere.
            await self.renew()
        raise AssertionError("the last attempt returns or raises")

    async def _authenticated(self, call: Callable[[AsyncClient], Awaitable[T]], seconds: float) -> T:
        used = self._credentials
        try:
            return await self._attempt(call, seconds)
        except NotAuthenticated:
            # Once per request: a token that was renewed in the file is worth a second try, the same one is not.
            if await self.renew() == used:
                raise
        return await self._attempt(call, seconds)

    async def _attempt(self, call: Callable[[AsyncClient], Awaitable[T]], seconds: float) -> T:
        if self._closing:
            raise LinkError("The link to the office is closed.")
        _status.set(0)
        self._under_way += 1
        client, http = self._client, self._pool.newest
        try:
            async with self._pool.used(http), asyncio.timeout(seconds):
                answer = await call(client)
        except APIError as err:
            raise self._noted(from_answer(err, _status.get())) from err
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as err:
            failure = self._noted(from_network(err))
            if isinstance(failure, LinkTimeout):
                await self._leave(http)
            raise failure from err
        finally:
            self._note_end()
        self._note_reached(True)
        return answer

    async def _leave(self, http: httpx.AsyncClient) -> None:
        """Connect anew, unless another request that timed out has done so already."""
        async with self._changing:
            if http is self._pool.newest and not self._closing:
                fresh = self._pool.make()
                self._client = await make_client(self._credentials, fresh)
                await self._pool.adopt(fresh)

    def _note_end(self) -> None:
        self._under_way -= 1
        if self._closing and not self._under_way:
            self._idle.set()

    def _noted(self, failure: OfficeError) -> OfficeError:
        self._note_reached(not isinstance(failure, LinkError))
        return failure


def _make_http(loopback: bool, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        # A proxy of the environment never sees loopback; an office elsewhere may be behind one.
        trust_env=not loopback,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX_LOOPBACK if loopback else CONNECTIONS_MAX, keepalive_expiry=KEEP_ALIVE_S
        ),
        event_hooks={"response": [_note_status]},
        transport=transport,
    )


async def _note_status(response: httpx.Response) -> None:
    _status.set(response.status_code)
