"""`/realtime/v1` with the real client: private channels, their public twins, and realtime.send."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from realtime import AsyncRealtimeChannel, RealtimeAcknowledgementStatus, RealtimeSubscribeStates
from supabase import AsyncClient
from websockets.asyncio.client import ClientConnection, connect

from tests.integration.hub.conftest import SignIn, make_user
from tests.integration.hub_fixture import RunningHub

DEADLINE = 5.0  # s
ENDED = [RealtimeSubscribeStates.CHANNEL_ERROR, RealtimeSubscribeStates.CLOSED]


class Heard:
    """A channel that was asked for, its states and what it heard."""

    def __init__(self, channel: AsyncRealtimeChannel) -> None:
        self.channel = channel
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.states: asyncio.Queue[RealtimeSubscribeStates] = asyncio.Queue()
        self.reasons: list[str] = []

    async def subscribe(self) -> RealtimeSubscribeStates:
        """Join; the first state that the client reports."""
        self.channel.on_broadcast("news", self.messages.put_nowait)  # type: ignore[arg-type]
        await self.channel.subscribe(self._changed)
        return await self.next_state()

    async def next_state(self) -> RealtimeSubscribeStates:
        async with asyncio.timeout(DEADLINE):
            return await self.states.get()

    async def next_message(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            return await self.messages.get()

    def _changed(self, state: RealtimeSubscribeStates, err: Exception | None) -> None:
        self.states.put_nowait(state)
        self.reasons.append(str(err))


def listen(client: AsyncClient, topic: str, *, private: bool = True, own: bool = False, ack: bool = False) -> Heard:
    config: Any = {
        "private": private,
        "broadcast": {"self": own, "ack": ack},
        "presence": {"key": "", "enabled": False},
    }
    return Heard(client.channel(topic, {"config": config}))


@pytest.fixture
def topic(superuser: psycopg.Connection, user_id: str) -> str:
    """A private topic that `user_id` may read and write."""
    name = f"room:{uuid.uuid4()}"
    admit(superuser, name, user_id, may_write=True)
    return name


def admit(superuser: psycopg.Connection, topic: str, user_id: str, *, may_write: bool) -> None:
    superuser.execute("insert into public.members values (%s, %s, %s)", [topic, user_id, may_write])


async def test_a_member_hears_what_sql_sends(client: AsyncClient, topic: str) -> None:
    heard = listen(client, topic)
    assert await heard.subscribe() == RealtimeSubscribeStates.SUBSCRIBED
    await client.rpc("announce", {"topic": topic, "body": {"table": "job", "title": "한글"}}).execute()
    message = await heard.next_message()
    assert (message["payload"]["title"], message["event"]) == ("한글", "news")
    assert message["meta"]["id"] == message["payload"]["id"]


async def test_messages_arrive_in_commit_order(client: AsyncClient, topic: str, superuser: psycopg.Connection) -> None:
    heard = listen(client, topic)
    await heard.subscribe()
    superuser.execute(
        "select realtime.send(jsonb_build_object('n', n), 'news', %s) from generate_series(1, 500) n", [topic]
    )
    assert [(await heard.next_message())["payload"]["n"] for _ in range(500)] == list(range(1, 501))


async def test_what_is_rolled_back_is_never_heard(
    client: AsyncClient, topic: str, superuser: psycopg.Connection
) -> None:
    heard = listen(client, topic)
    await heard.subscribe()
    superuser.execute("begin")
    superuser.execute("""select realtime.send('{"n": 1}', 'news', %s)""", [topic])
    superuser.execute("rollback")
    superuser.execute("""select realtime.send('{"n": 2}', 'news', %s)""", [topic])
    assert (await heard.next_message())["payload"]["n"] == 2


async def test_a_stranger_cannot_join_a_private_topic(
    sign_in: SignIn, topic: str, superuser: psycopg.Connection
) -> None:
    heard = listen(await sign_in(make_user(superuser)), topic)
    assert await heard.subscribe() == RealtimeSubscribeStates.CHANNEL_ERROR
    assert "Unauthorized: You do not have permissions to read from this Channel topic" in heard.reasons[0]


async def test_the_public_twin_of_a_private_topic_hears_nothing_of_it(
    client: AsyncClient, sign_in: SignIn, topic: str, superuser: psycopg.Connection
) -> None:
    stranger = listen(await sign_in(make_user(superuser)), topic, private=False)
    member = listen(client, topic)
    await stranger.subscribe()
    await member.subscribe()
    await client.rpc("announce", {"topic": topic, "body": {"n": "private"}}).execute()
    await member.channel.send_broadcast("news", {"n": "private"})
    await client.rpc("announce", {"topic": topic, "body": {"n": "public"}, "private": False}).execute()
    assert (await stranger.next_message())["payload"]["n"] == "public"
    assert (await member.next_message())["payload"]["n"] == "private"
    assert stranger.messages.empty()


async def test_clients_broadcast_to_each_other(
    client: AsyncClient, sign_in: SignIn, topic: str, superuser: psycopg.Connection
) -> None:
    other_id = make_user(superuser)
    admit(superuser, topic, other_id, may_write=False)
    other = listen(await sign_in(other_id), topic)
    me = listen(client, topic)
    await other.subscribe()
    await me.subscribe()
    await me.channel.send_broadcast("news", {"n": 1})
    assert (await other.next_message())["payload"] == {"n": 1}
    assert me.messages.empty()


async def test_a_sender_hears_itself_and_is_acknowledged_on_request(client: AsyncClient, topic: str) -> None:
    heard = listen(client, topic, own=True, ack=True)
    await heard.subscribe()
    acknowledged = asyncio.Event()
    push = await heard.channel.push("broadcast", {"type": "broadcast", "event": "news", "payload": {"n": 1}})
    push.receive(RealtimeAcknowledgementStatus.Ok, lambda _response: acknowledged.set())
    async with asyncio.timeout(DEADLINE):
        await acknowledged.wait()
    assert (await heard.next_message())["payload"] == {"n": 1}


async def test_a_reader_without_the_right_to_write_is_not_passed_on(
    client: AsyncClient, sign_in: SignIn, topic: str, superuser: psycopg.Connection
) -> None:
    reader_id = make_user(superuser)
    admit(superuser, topic, reader_id, may_write=False)
    reader_client = await sign_in(reader_id)
    reader = listen(reader_client, topic)
    writer = listen(client, topic)
    await reader.subscribe()
    await writer.subscribe()
    await reader.channel.send_broadcast("news", {"n": "refused"})
    # Answered after the broadcast was handled: one socket is served in order.
    other = listen(reader_client, f"public:{uuid.uuid4()}", private=False)
    await other.subscribe()
    await client.rpc("announce", {"topic": topic, "body": {"n": "allowed"}}).execute()
    assert (await writer.next_message())["payload"]["n"] == "allowed"


async def test_a_channel_ends_when_its_token_expires(sign_in: SignIn, user_id: str, topic: str) -> None:
    heard = listen(await sign_in(user_id, ttl=2), topic)
    assert await heard.subscribe() == RealtimeSubscribeStates.SUBSCRIBED
    assert [await heard.next_state(), await heard.next_state()] == ENDED
    assert "Token has expired" in heard.reasons[1]


async def test_a_new_token_keeps_a_channel_and_a_lost_right_ends_it(
    hub: RunningHub, client: AsyncClient, user_id: str, topic: str, superuser: psycopg.Connection
) -> None:
    heard = listen(client, topic)
    await heard.subscribe()
    await client.realtime.set_auth(hub.token_for(user_id, ttl=1800))
    await client.rpc("announce", {"topic": topic, "body": {"n": 1}}).execute()
    await heard.next_message()
    superuser.execute("delete from public.members where topic = %s", [topic])
    await client.realtime.set_auth(hub.token_for(user_id, ttl=900))
    assert [await heard.next_state(), await heard.next_state()] == ENDED
    assert "do not have permissions" in heard.reasons[1]


async def test_postgres_changes_says_that_it_is_not_built(client: AsyncClient, topic: str) -> None:
    heard = Heard(client.channel(topic))
    heard.channel.on_postgres_changes("*", lambda _payload: None, table="notes")  # type: ignore[arg-type]
    assert await heard.subscribe() == RealtimeSubscribeStates.CHANNEL_ERROR
    assert "not built" in heard.reasons[0]


async def test_http_broadcasts_reach_only_topics_the_sender_may_write(
    hub: RunningHub,
    http: httpx.AsyncClient,
    client: AsyncClient,
    user_id: str,
    topic: str,
    superuser: psycopg.Connection,
) -> None:
    heard = listen(client, topic)
    await heard.subscribe()

    async def post(sender: str, number: int) -> int:
        headers = {"apikey": hub.keys.publishable_key, "Authorization": f"Bearer {hub.token_for(sender)}"}
        message = {"topic": topic, "event": "news", "payload": {"n": number}, "private": True}
        answer = await http.post("/realtime/v1/api/broadcast", json={"messages": [message]}, headers=headers)
        return answer.status_code

    assert [await post(make_user(superuser), 1), await post(user_id, 2)] == [202, 202]
    assert (await heard.next_message())["payload"]["n"] == 2


@asynccontextmanager
async def raw_socket(hub: RunningHub, **options: Any) -> AsyncIterator[ClientConnection]:
    """The protocol without the library, for what that never sends."""
    url = f"{hub.url.replace('http', 'ws')}/realtime/v1/websocket?vsn=1.0.0&apikey={hub.keys.publishable_key}"
    async with connect(url, proxy=None, **options) as socket:
        yield socket


async def exchange(socket: ClientConnection, topic: str, event: str, payload: dict[str, Any], ref: str) -> Any:
    await socket.send(json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": ref}))
    async with asyncio.timeout(DEADLINE):
        return json.loads(await socket.recv())


async def test_a_heartbeat_a_leave_and_an_unknown_topic_are_answered(hub: RunningHub) -> None:
    async with raw_socket(hub) as socket:
        beat = await exchange(socket, "phoenix", "heartbeat", {}, "1")
        assert (beat["event"], beat["payload"], beat["ref"]) == (
            "phx_reply",
            {"status": "ok", "response": {}},
            "1",
        )
        joined = await exchange(socket, "realtime:x", "phx_join", {"config": {}}, "2")
        assert joined["payload"] == {"status": "ok", "response": {"postgres_changes": []}}
        left = await exchange(socket, "realtime:x", "phx_leave", {}, "3")
        closed = json.loads(await socket.recv())
        assert (left["payload"]["status"], closed["event"], closed["ref"]) == ("ok", "phx_close", "2")
        unknown = await exchange(socket, "realtime:x", "broadcast", {}, "4")
        assert unknown["payload"] == {"status": "error", "response": {"reason": "unmatched topic"}}


async def test_a_second_join_ends_the_first_after_its_own_answer(hub: RunningHub) -> None:
    async with raw_socket(hub) as socket:
        await exchange(socket, "realtime:x", "phx_join", {"config": {}}, "1")
        again = await exchange(socket, "realtime:x", "phx_join", {"config": {}}, "2")
        closed = json.loads(await socket.recv())
        assert (again["ref"], closed["event"], closed["ref"]) == ("2", "phx_close", "1")


@pytest.mark.parametrize("rubbish", ["[]", "no json", '{"topic": 1}', b"binary"])
async def test_rubbish_ends_only_the_socket_that_sent_it(hub: RunningHub, rubbish: str | bytes) -> None:
    async with raw_socket(hub) as other, raw_socket(hub) as socket:
        await socket.send(rubbish)
        async with asyncio.timeout(DEADLINE):
            await socket.wait_closed()
        assert socket.close_code == 1008
        assert (await exchange(other, "phoenix", "heartbeat", {}, "1"))["event"] == "phx_reply"


async def test_a_socket_needs_a_key(hub: RunningHub, http: httpx.AsyncClient) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers = {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    without = await http.get("/realtime/v1/websocket?vsn=1.0.0", headers=headers)
    key = hub.keys.publishable_key
    other_site = await http.get(
        f"/realtime/v1/websocket?vsn=1.0.0&apikey={key}",
        headers={**headers, "Origin": "https://evil.example"},
    )
    other_version = await http.get(f"/realtime/v1/websocket?vsn=2.0.0&apikey={key}", headers=headers)
    assert [without.status_code, other_site.status_code, other_version.status_code] == [401, 403, 400]


async def test_a_client_that_does_not_read_delays_nobody_and_is_dropped(
    hub: RunningHub, client: AsyncClient, topic: str, superuser: psycopg.Connection
) -> None:
    heard = listen(client, topic)
    await heard.subscribe()
    # `max_queue` makes the library stop reading from the network after one message.
    async with raw_socket(hub, max_queue=1, compression=None) as stuck:
        join = {"config": {"private": True}, "access_token": hub.token_for(make_member(superuser, topic))}
        await exchange(stuck, f"realtime:{topic}", "phx_join", join, "1")
        for first in range(0, 400, 50):
            superuser.execute(
                "select realtime.send(jsonb_build_object('n', n, 'filler', repeat('x', 100000)), 'news', %s)"
                " from generate_series(%s::int, %s::int) n",
                [topic, first, first + 49],
            )
            for number in range(first, first + 50):
                assert (await heard.next_message())["payload"]["n"] == number
        assert "closed a socket that does not read" in hub.log
        stuck.transport.abort()


def make_member(superuser: psycopg.Connection, topic: str) -> str:
    user_id = make_user(superuser)
    admit(superuser, topic, user_id, may_write=False)
    return user_id
