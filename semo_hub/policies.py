"""Asks the policies on realtime.messages who may read and write a private topic."""

import json

import psycopg
from psycopg.sql import SQL

from semo_hub.auth import Caller
from semo_hub.database import SEARCH_PATH, Database, set_locally
from semo_hub.errors import HubError
from semo_hub.exchange import Topic
from semo_hub.problems import Problem

_DEADLINE_MS = 5_000

_PROBE = SQL(
    "insert into realtime.messages (id, topic, extension, event, private)"
    " values ('00000000-0000-0000-0000-000000000000', %s, 'broadcast', 'probe', true)"
)
_READ = SQL("select exists (select from realtime.messages where id = '00000000-0000-0000-0000-000000000000')")


class PolicyUnavailable(HubError):
    """The policies could not be asked, or raise errors themselves."""


class Policies:
    """Each question is a transaction that is rolled back, so that nothing is ever stored or announced."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def may_read(self, caller: Caller, topic: Topic) -> bool:
        """Whether a message on `topic` would be visible to `caller`. Raises PolicyUnavailable."""
        if not topic.private:
            return True
        try:
            async with self._database.admin() as connection:
                return await _can_see_probe(connection, caller, topic)
        except Problem as err:
            raise PolicyUnavailable(err.message) from err

    async def may_write(self, caller: Caller, topic: Topic) -> bool:
        """Whether `caller` could insert a message on `topic`. Raises PolicyUnavailable."""
        if not topic.private:
            return True
        try:
            async with self._database.admin() as connection:
                return await _can_insert_probe(connection, caller, topic)
        except Problem as err:
            raise PolicyUnavailable(err.message) from err


async def _can_see_probe(connection: psycopg.AsyncConnection, caller: Caller, topic: Topic) -> bool:
    """The probe is inserted by the superuser, and looked for as the caller."""
    try:
        async with connection.pipeline():
            await connection.execute("begin")
            await connection.execute(_PROBE, [topic.name])
            await _become(connection, caller, topic)
            cursor = await connection.execute(_READ)
            await connection.execute("rollback")
        return (await cursor.fetchone()) == (True,)
    except psycopg.errors.InsufficientPrivilege:
        return False


async def _can_insert_probe(connection: psycopg.AsyncConnection, caller: Caller, topic: Topic) -> bool:
    try:
        async with connection.pipeline():
            await connection.execute("begin")
            await _become(connection, caller, topic)
            await connection.execute(_PROBE, [topic.name])
            await connection.execute("rollback")
        return True
    except psycopg.errors.InsufficientPrivilege:
        return False


async def _become(connection: psycopg.AsyncConnection, caller: Caller, topic: Topic) -> None:
    settings = {
        "search_path": SEARCH_PATH,
        "statement_timeout": str(_DEADLINE_MS),
        "realtime.topic": topic.name,
        "request.jwt.claims": json.dumps(dict(caller.claims)),
        "request.jwt.claim.sub": str(caller.claims.get("sub", "")),
        "request.jwt.claim.role": caller.role,
        "request.headers": "{}",
        "role": caller.role,
    }
    await connection.execute(set_locally(len(settings)), [text for setting in settings.items() for text in setting])
