"""One hub for all tests of it, with a small schema of their own, and clients signed in to it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from tests.integration.hub_fixture import RunningHub, end_hub, start_hub

SQL = Path(__file__).parent / "sql"

SignIn = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("hub") / "state", SQL)
    yield running
    end_hub(running)


@pytest.fixture
def superuser(hub: RunningHub) -> Iterator[psycopg.Connection]:
    with psycopg.connect(hub.superuser_conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture
def user_id(superuser: psycopg.Connection) -> str:
    return make_user(superuser)


def make_user(superuser: psycopg.Connection) -> str:
    """A user that the database knows; their id."""
    user_id = str(uuid.uuid4())
    superuser.execute("insert into auth.users (id) values (%s)", [user_id])
    return user_id


@asynccontextmanager
async def signed_in(hub: RunningHub, user_id: str, *, ttl: float = 3600.0) -> AsyncIterator[AsyncClient]:
    """The real client as a user, with a token of the hub that is good for `ttl` seconds."""
    token = hub.token_for(user_id, ttl=ttl)
    async with httpx.AsyncClient(trust_env=False) as http:
        options = AsyncClientOptions(headers={"Authorization": f"Bearer {token}"}, httpx_client=http)
        client = await acreate_client(hub.url, hub.keys.publishable_key, options)
        await client.realtime.set_auth(token)
        try:
            yield client
        finally:
            await client.realtime.close()


@pytest.fixture
async def sign_in(hub: RunningHub) -> AsyncIterator[SignIn]:
    async with AsyncExitStack() as clients:

        async def sign_in(user_id: str, *, ttl: float = 3600.0) -> AsyncClient:
            return await clients.enter_async_context(signed_in(hub, user_id, ttl=ttl))

        yield sign_in


@pytest.fixture
async def client(sign_in: SignIn, user_id: str) -> AsyncClient:
    return await sign_in(user_id)


@pytest.fixture
async def http(hub: RunningHub) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False) as client:
        yield client
