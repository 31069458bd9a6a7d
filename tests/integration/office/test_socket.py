"""The contract of `HintSocket`, kept by the library's client on the real hub and by the fake of the unit tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import JsonValue, SecretStr

from semo_office.errors import LinkError
from semo_office.link import Timing
from semo_office.link.requests import Requests
from semo_office.link.socket import Hint, HintSocket, Inbox, opener
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import Identity, signed_in
from tests.integration.office.relay import hostile
from tests.integration.office.wire import Wire
from tests.unit.semo_office.fakes import FakeSocket


class FarSide(Protocol):
    """What the other end of a socket does, and the topic that it lets the socket join."""

    topic: str

    async def open(self, inbox: Inbox) -> HintSocket: ...

    async def hint(self, table: str, key: str, version: int) -> None: ...

    async def broadcast(self, name: str, payload: dict[str, JsonValue]) -> None: ...

    async def refuse(self) -> None:
        """Let nobody join from now on."""

    async def break_down(self) -> None: ...

    async def new_token(self) -> SecretStr: ...


class FakeFarSide:
    topic = "office:x"

    def __init__(self) -> None:
        self.socket: FakeSocket | None = None
        self.refusal: str | None = None

    async def open(self, inbox: Inbox) -> HintSocket:
        self.socket = FakeSocket(inbox, self.refusal)
        return self.socket

    async def hint(self, table: str, key: str, version: int) -> None:
        assert self.socket is not None
        self.socket.hint(table, key, version)

    async def broadcast(self, name: str, payload: dict[str, JsonValue]) -> None:
        assert self.socket is not None
        self.socket.broadcast(name, payload)

    async def refuse(self) -> None:
        self.refusal = "forbidden"

    async def break_down(self) -> None:
        assert self.socket is not None
        self.socket.break_down()

    async def new_token(self) -> SecretStr:
        return SecretStr("newer")


class RealFarSide:
    def __init__(self, hub: RunningHub, wire: Wire, identity: Identity, requests: Requests, topic: str) -> None:
        self.topic = topic
        self._hub = hub
        self._wire = wire
        self._identity = identity
        self._requests = requests

    async def open(self, inbox: Inbox) -> HintSocket:
        return (await opener(self._requests)(inbox)).socket

    async def hint(self, table: str, key: str, version: int) -> None:
        async with await psycopg.AsyncConnection.connect(self._hub.superuser_conninfo, autocommit=True) as connection:
            payload = Jsonb({"table": table, "id": key, "version": version})
            await connection.execute("select realtime.send(%s, 'hint', %s, true)", [payload, self.topic])

    async def broadcast(self, name: str, payload: dict[str, JsonValue]) -> None:
        async with await psycopg.AsyncConnection.connect(self._hub.superuser_conninfo, autocommit=True) as connection:
            await connection.execute("select realtime.send(%s, %s, %s, true)", [Jsonb(payload), name, self.topic])

    async def refuse(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._hub.superuser_conninfo, autocommit=True) as connection:
            await connection.execute("delete from public.office_members where user_id = %s", [self._identity.user_id])

    async def break_down(self) -> None:
        self._wire.cut()

    async def new_token(self) -> SecretStr:
        return self._identity().access_token


@asynccontextmanager
async def real_far_side(hub: RunningHub) -> AsyncIterator[FarSide]:
    async with hostile(hub) as far_hub:
        identity = Identity(hub, url=far_hub.url)
        async with signed_in(identity) as side:
            office = await side.offices.create_office("o", f"/repo/{uuid4()}")
        requests = await Requests.open(identity, Timing(), lambda _: None)
        yield RealFarSide(hub, far_hub.wire, identity, requests, f"office:{office.id}")
        await requests.close()


@pytest.fixture(params=["fake", "real"])
async def far_side(request: pytest.FixtureRequest, office_hub: RunningHub) -> AsyncIterator[FarSide]:
    if request.param == "fake":
        yield FakeFarSide()
    else:
        async with real_far_side(office_hub) as far_side:
            yield far_side


async def ring(inbox: Inbox) -> None:
    async with asyncio.timeout(10):
        await inbox.bell.wait()


async def test_what_is_hinted_after_the_join_arrives(far_side: FarSide) -> None:
    inbox = Inbox()
    socket = await far_side.open(inbox)
    await socket.join(far_side.topic)
    assert socket.fault() is None
    await far_side.hint("agent_commands", "key", 7)
    await ring(inbox)
    assert list(inbox.hints) == [Hint("agent_commands", "key", 7)]
    await socket.close()


async def test_what_is_sent_reaches_the_others_on_the_topic(far_side: FarSide) -> None:
    inbox = Inbox()
    socket = await far_side.open(inbox)
    await socket.join(far_side.topic)
    await far_side.broadcast("output", {"text": "한글 \x1b[1m"})
    await ring(inbox)
    assert [(heard.name, heard.payload["text"]) for heard in inbox.broadcasts] == [("output", "한글 \x1b[1m")]
    assert not inbox.hints
    await socket.send("output", {"text": "from here"})
    assert socket.fault() is None
    await socket.close()
    with pytest.raises(LinkError, match="not connected"):
        await socket.send("output", {"text": "too late"})


async def test_a_refused_join_is_an_error(far_side: FarSide) -> None:
    await far_side.refuse()
    socket = await far_side.open(Inbox())
    with pytest.raises(LinkError, match="refuses"):
        await socket.join(far_side.topic)
    assert socket.fault() is not None
    await socket.close()


async def test_a_connection_that_breaks_rings_with_a_fault(far_side: FarSide) -> None:
    inbox = Inbox()
    socket = await far_side.open(inbox)
    await socket.join(far_side.topic)
    await far_side.break_down()
    await ring(inbox)
    assert inbox.fault is not None
    assert socket.fault() is not None
    await socket.close()


async def test_a_listener_that_dies_is_a_fault_at_once(office_hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise KeyError("a mistake in a callback")

    inbox = Inbox()
    monkeypatch.setattr(inbox, "hear", fail)
    async with real_far_side(office_hub) as far_side:
        socket = await far_side.open(inbox)
        await socket.join(far_side.topic)
        await far_side.hint("agent_commands", "key", 7)
        await ring(inbox)
        assert inbox.fault is not None
        assert "KeyError" in inbox.fault
        await socket.close()


async def test_a_newer_token_keeps_it_joined(far_side: FarSide) -> None:
    inbox = Inbox()
    socket = await far_side.open(inbox)
    await socket.join(far_side.topic)
    await socket.renew(await far_side.new_token())
    await far_side.hint("agent_commands", "key", 8)
    await ring(inbox)
    assert list(inbox.hints) == [Hint("agent_commands", "key", 8)]
    assert inbox.fault is None
    await socket.close()


async def test_it_closes_in_every_state_and_twice(far_side: FarSide) -> None:
    unjoined = await far_side.open(Inbox())
    await unjoined.close()
    socket = await far_side.open(Inbox())
    await socket.join(far_side.topic)
    await socket.close()
    await socket.close()
    assert socket.fault() is not None
