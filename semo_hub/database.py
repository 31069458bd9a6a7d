"""Requests as transactions: each runs as its caller, in as few round trips as possible."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from psycopg.sql import SQL, Composed
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semo_hub.auth import Caller
from semo_hub.catalog import Catalog
from semo_hub.problems import problem_of, saturated, unreachable, unstorable
from semo_hub.statements import Statement

SEARCH_PATH = "public, extensions"

_POOL_SIZE = 12
_POOL_TIMEOUT = 5.0  # s to get a connection
_REQUEST_TIMEOUT = 30.0  # s for a whole request; a role's statement_timeout is shorter

Pool = AsyncConnectionPool[psycopg.AsyncConnection]


@dataclass(frozen=True)
class Answer:
    """What a statement answered: total without limit (None: not counted), rows in the body, JSON text."""

    total: int | None
    rows: int
    body: str


@dataclass(frozen=True)
class RequestFacts:
    """What SQL can read about a request from the settings `request.*`."""

    method: str
    path: str
    headers: Mapping[str, str]


Check = Callable[[Answer], None]


def open_pool(conninfo: str, size: int) -> Pool:
    """A pool that is not open yet; its connections leave transactions to the caller."""
    return AsyncConnectionPool(
        conninfo,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=size,
        open=False,
        timeout=_POOL_TIMEOUT,
        max_idle=60.0,
        name="semo_hub",
    )


class Database:
    """The gateway's connections: `authenticator` for requests, the superuser for questions of the hub."""

    def __init__(self, conninfo: str, admin_conninfo: str, catalog: Catalog) -> None:
        self._requests = open_pool(conninfo, _POOL_SIZE)
        self._admin = open_pool(admin_conninfo, 2)
        self.catalog = catalog

    async def open(self) -> None:
        """Connect and read the catalog. Raises Problem when the database can't be reached."""
        await self._requests.open()
        await self._admin.open()
        await self.read_catalog()

    async def close(self) -> None:
        await self._requests.close(timeout=1.0)
        await self._admin.close(timeout=1.0)

    async def recover(self) -> None:
        """Replace the connections that a restart of PostgreSQL has broken."""
        await self._requests.check()
        await self._admin.check()

    async def ping(self) -> None:
        """Raises Problem when the database does not answer."""
        async with self.admin() as connection:
            await connection.execute("select 1")

    async def read_catalog(self) -> None:
        async with self.admin() as connection:
            await self.catalog.read(connection)

    async def run(
        self,
        caller: Caller,
        facts: RequestFacts,
        statement: Statement,
        *,
        read_only: bool,
        check: Check | None = None,
    ) -> Answer:
        """Run one statement as `caller` in its own transaction; `check` may raise to refuse the commit.

        Raises Problem.
        """
        settings, values = self._settings(caller, facts)
        begin = "begin read only" if read_only else "begin"
        async with _translated(anonymous=caller.role == "anon"), self._requests.connection() as connection:
            async with connection.pipeline():
                await connection.execute(begin)
                await connection.execute(settings, values)
                cursor = await connection.execute(statement.sql, statement.parameters)
                if check is None:
                    await connection.execute("commit")
            answer = Answer(*(await cursor.fetchone() or (None, 0, "[]")))
            if check is not None:
                check(answer)
                await connection.execute("commit")
        return answer

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection of the superuser, in autocommit mode; errors in the block become Problem."""
        async with _translated(anonymous=False), self._admin.connection() as connection:
            yield connection

    def _settings(self, caller: Caller, facts: RequestFacts) -> tuple[Composed, list[str]]:
        """One SELECT for all settings of the transaction. SET ROLE does not apply a role's own settings."""
        settings = {
            "search_path": SEARCH_PATH,
            **dict(self.catalog.facts.role_settings.get(caller.role, ())),
            "role": caller.role,
            "request.jwt.claims": json.dumps(dict(caller.claims)),
            "request.method": facts.method,
            "request.path": facts.path,
            "request.headers": json.dumps(dict(facts.headers)),
        }
        return set_locally(len(settings)), [text for setting in settings.items() for text in setting]


def set_locally(count: int) -> Composed:
    """SQL that takes `count` pairs of name and value for the rest of the transaction."""
    return SQL("select {}").format(SQL(", ").join([SQL("set_config(%s, %s, true)")] * count))


@asynccontextmanager
async def _translated(*, anonymous: bool) -> AsyncIterator[None]:
    """Errors of the database as Problem, within the deadline of a request."""
    try:
        async with asyncio.timeout(_REQUEST_TIMEOUT):
            yield
    except PoolTimeout as err:
        raise saturated() from err
    except UnicodeEncodeError as err:
        raise unstorable(str(err)) from err
    except psycopg.Error as err:
        raise problem_of(err, anonymous=anonymous) from err
    except TimeoutError as err:
        raise unreachable() from err
