"""The API without a socket, and an office that answers as the test says."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from starlette.types import ASGIApp

from semo_office.api.app import make_app
from semo_office.api.callers import Callers
from semo_office.api.desk import Service
from semo_office.link import CredentialsSource, Link, LinkState, LinkStatus
from semo_office.stopping import Stop, Tasks
from tests.unit.semo_office.fakes import EPOCH, make_credentials

URL = "http://127.0.0.1:8080"
TOKEN = "head.body.signature"  # it opens nothing
NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

Office = Callable[[httpx.Request], httpx.Response]


def no_office(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nobody may ask the office here: {request.url}")


@asynccontextmanager
async def service_on(office: Office, *, state: LinkState = LinkState.LIVE) -> AsyncIterator[Service]:
    stop = Stop()
    tasks = Tasks(stop)

    async def open_link(source: CredentialsSource) -> Link:
        return await Link.open(source, transport=httpx.MockTransport(office))

    callers = Callers(make_credentials, tasks, lambda: 0.0, open_link=open_link)
    idle = Stop()
    tasks.start("callers", callers.keep_few(idle))
    yield Service(callers, lambda: LinkStatus(state, EPOCH), stop)
    idle.set()
    await tasks.settle(5.0)
    assert tasks.failure is None


@asynccontextmanager
async def client_of(app: ASGIApp, *, token: str | None = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
        yield client


@asynccontextmanager
async def door(office: Office = no_office, *, state: LinkState = LinkState.LIVE) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole API; `office` is what the hub answers."""
    async with service_on(office, state=state) as service, client_of(make_app(service, NAMES)) as client:
        yield client


def code_of(response: httpx.Response) -> str:
    """The code in the envelope, which every refusal has."""
    body = response.json()
    assert set(body) == {"error", "message", "request_id"}, body
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["message"].endswith("."), body
    return str(body["error"])
