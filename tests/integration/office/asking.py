"""The Sessions API of a test, those who ask it, and what they hear."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from semo_office.api import ApiServer, Listener
from semo_office.locations import StateFolder
from semo_office.models import AgentCommand
from semo_office.stopping import Stop
from tests.integration.office.conftest import Identity, Party

SOON_S = 20.0
KEEP_S = 0.2
JOB = {"role": "BE", "any_role": True, "title": "t", "description": "d"}


@dataclass
class Api:
    """The server of a test, and the office that is asked about."""

    url: str
    stop: Stop
    party: Party

    @property
    def office(self) -> str:
        return f"/api/offices/{self.party.office_id}"

    @asynccontextmanager
    async def client(self, identity: Identity | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody with a token; the operator when nobody is named."""
        token = (identity or self.party.operator.identity)().access_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=SOON_S, trust_env=False) as client:
            yield client

    def member(self, role: str) -> Identity:
        """Somebody with this role in the office."""
        somebody = Identity(self.party.hub)
        with psycopg.connect(self.party.hub.superuser_conninfo, autocommit=True) as connection:
            connection.execute(
                "insert into public.office_members (office_id, user_id, role) values (%s, %s, %s)",
                [self.party.office_id, somebody.user_id, role],
            )
        return somebody

    def expel(self, somebody: Identity) -> None:
        with psycopg.connect(self.party.hub.superuser_conninfo, autocommit=True) as connection:
            connection.execute("delete from public.office_members where user_id = %s", [somebody.user_id])


@asynccontextmanager
async def api_before(party: Party) -> AsyncIterator[Api]:
    """A server on a real socket while the block runs."""
    stop = Stop()
    with ApiServer.open(StateFolder(party.hub.state_dir), Listener(), time.monotonic, keep_s=KEEP_S) as server:
        running = asyncio.create_task(server.run(party.operator.link, stop))
        yield Api(server.url, stop, party)
        stop.set()
        async with asyncio.timeout(SOON_S):
            await running


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and code; the rest of the envelope is as it must be."""
    body = response.json()
    assert set(body) == {"error", "message", "request_id"}, body
    return response.status_code, body["error"]


Agent = Callable[[AgentCommand], Awaitable[object]]


async def while_the_agent(api: Api, does: Agent, asking: Awaitable[httpx.Response]) -> httpx.Response:
    """The answer to a request during which the agent does this with the one command that comes."""
    waiting = asyncio.ensure_future(asking)
    await does(await api.party.claim_when_there())
    return await waiting


def completing(party: Party, output: str) -> Agent:
    async def complete(command: AgentCommand) -> None:
        await party.accept(command)
        await party.complete(command, output)

    return complete


@dataclass
class Heard:
    name: str
    data: Any
    id: str | None


async def heard(response: httpx.Response) -> AsyncIterator[Heard]:
    """The events of a stream, read as a browser reads them."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Heard(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


@asynccontextmanager
async def listening_to(
    client: httpx.AsyncClient, path: str, last: str | None = None
) -> AsyncIterator[AsyncIterator[Heard]]:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield heard(response)


async def until(events: AsyncIterator[Heard], wanted: Callable[[Heard], bool]) -> Heard:
    async with asyncio.timeout(SOON_S):
        async for event in events:
            if wanted(event):
                return event
    raise AssertionError("the stream has ended")
