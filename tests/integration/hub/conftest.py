"""One hub for all tests of it, with a small schema of their own, and clients signed in to it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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


@pytest.fixture
async def sign_in(hub: RunningHub) -> AsyncIterator[SignIn]:
    """The real client as a user, with a token of the hub."""
    clients: list[AsyncClient] = []

    async def sign_in(user_id: str, *, ttl: float = 3600.0) -> AsyncClient:
        token = hub.token_for(user_id, ttl=ttl)
        options = AsyncClientOptions(
            headers={"Authorization": f"Bearer {token}"},
            httpx_client=httpx.AsyncClient(trust_env=False),
        )
        client = await acreate_client(hub.url, hub.keys.publishable_key, options)
        await client.realtime.set_auth(token)
        clients.append(client)
        return client

    yield sign_in
    for client in clients:
        await client.realtime.close()
        if client.options.httpx_client is not None:
            await client.options.httpx_client.aclose()


@pytest.fixture
async def client(sign_in: SignIn, user_id: str) -> AsyncClient:
    return await sign_in(user_id)


@pytest.fixture
async def http(hub: RunningHub) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False) as client:
        yield client
