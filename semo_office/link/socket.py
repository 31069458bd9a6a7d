"""The Realtime half of the link: one socket with one private topic, and the contract that its supervisor relies on.

Everything that the library does by itself to survive is switched off (`auto_reconnect`): a socket that is at fault is
thrown away as a whole and a new one is made, because the library's own repairs lose channels without a word.
"""

import asyncio
import logging
import os
import urllib.request
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from pydantic import JsonValue, SecretStr
from realtime import AsyncRealtimeChannel, RealtimeSubscribeStates
from realtime.message import Message
from realtime.types import BroadcastPayload, ChannelStates
from supabase import AsyncClient
from websockets.exceptions import WebSocketException

from semo_office.errors import LinkError
from semo_office.link.requests import Requests, is_loopback

JOIN_S: Final = 15.0
CLOSE_S: Final = 1.0
SEND_S: Final = 5.0
INBOX_MAX: Final = 1000
BROADCASTS_MAX: Final = 200
HINT: Final = "hint"

# The library reports every failed try as an error of its own; without this they land on a person's screen.
logging.getLogger("realtime").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Hint:
    """This row changed, or was made (`new`); `key` is what the table is read by."""

    table: str
    key: str
    version: int
    new: bool = False


@dataclass(frozen=True)
class Broadcast:
    """Anything else that somebody sent on the topic."""

    name: str
    payload: dict[str, JsonValue]


class Inbox:
    """Where a socket's callbacks put what they hear: bounded, never blocking, never raising.

    When it is full what comes is dropped, and `overflowed` says that everything must be read again.
    """

    def __init__(self, limit: int = INBOX_MAX) -> None:
        self.bell = asyncio.Event()
        self.hints: deque[Hint] = deque()
        self.broadcasts: deque[Broadcast] = deque()
        self.overflowed = False
        self.fault: str | None = None
        self._limit = limit

    def hear(self, payload: BroadcastPayload) -> None:
        body = payload.get("payload", {})
        table, key, version = body.get("table"), body.get("id"), body.get("version")
        if not isinstance(table, str) or not isinstance(key, str) or not isinstance(version, int):
            return
        if len(self.hints) >= self._limit:
            self.overflowed = True
        else:
            self.hints.append(Hint(table, key, version, new=body.get("op") == "insert"))
        self.bell.set()

    def hear_broadcast(self, payload: BroadcastPayload) -> None:
        name, body = payload.get("event"), payload.get("payload")
        if not isinstance(name, str) or not isinstance(body, dict) or name == HINT:
            return
        if len(self.broadcasts) >= BROADCASTS_MAX:
            self.overflowed = True
        else:
            self.broadcasts.append(Broadcast(name, body))
        self.bell.set()

    def lose(self, reason: str) -> None:
        """The socket is at fault; the first reason stays."""
        self.fault = self.fault or reason
        self.bell.set()


class HintSocket(Protocol):
    """A connection that puts the hints of one topic into an inbox, until it is at fault."""

    async def join(self, topic: str) -> None:
        """Returns once the office has accepted; what is sent from then on arrives. Raises LinkError."""

    async def send(self, name: str, payload: dict[str, JsonValue]) -> None:
        """Broadcast on the topic; nobody says whether it arrived. Raises LinkError."""

    async def renew(self, token: SecretStr) -> None:
        """Go on under a newer token of the same identity. Raises LinkError."""

    def fault(self) -> str | None:
        """Why nothing can arrive any more; None: as far as can be seen it can."""

    async def close(self) -> None:
        """End the connection within a second or so, whatever its state. Never raises."""


@dataclass(frozen=True)
class OpenedSocket:
    """A socket, and when the token that it was opened with expires."""

    socket: HintSocket
    expires_at: datetime


OpenSocket = Callable[[Inbox], Awaitable[OpenedSocket]]


def opener(requests: Requests) -> OpenSocket:
    """Sockets of the office that these requests go to; the credentials are read anew for each."""

    async def open_socket(inbox: Inbox) -> OpenedSocket:
        client, credentials = await requests.new_client()
        if is_loopback(credentials.url):
            keep_proxies_off_loopback()
        await client.realtime.set_auth(credentials.access_token.get_secret_value())
        return OpenedSocket(RealtimeSocket(client, inbox), credentials.expires_at)

    return open_socket


class RealtimeSocket:
    """`HintSocket` on the library's client."""

    def __init__(self, client: AsyncClient, inbox: Inbox) -> None:
        self._realtime = client.realtime
        self._inbox = inbox
        self._channel: AsyncRealtimeChannel | None = None
        self._joined = False

    async def join(self, topic: str) -> None:
        channel = self._channel = self._realtime.channel(
            topic,
            {
                "config": {
                    "broadcast": {"ack": False, "self": False},
                    "presence": {"key": "", "enabled": False},
                    "private": True,
                }
            },
        )
        channel.on_broadcast(HINT, self._inbox.hear)
        channel.on_broadcast("*", self._inbox.hear_broadcast)
        try:
            async with asyncio.timeout(JOIN_S):
                await channel.subscribe(self._on_state)
        except (OSError, TimeoutError, WebSocketException) as err:
            raise LinkError(f"The office's Realtime can't be reached: {err or type(err).__name__}.") from err
        self._attend_tasks()
        if not self._joined or self._inbox.fault:
            raise LinkError(f"The office's Realtime refuses {topic}: {self._inbox.fault or 'no answer'}.")

    async def send(self, name: str, payload: dict[str, JsonValue]) -> None:
        channel, fault = self._channel, self.fault()
        if channel is None or fault is not None:
            # The library would keep it for later, and for ever.
            raise LinkError(f"The office's Realtime is not connected: {fault}.")
        # Not `send_broadcast`: it keeps each message 10 s for an answer that never comes.
        message = Message(
            event="broadcast",
            payload={"type": "broadcast", "event": name, "payload": payload},
            topic=channel.topic,
            ref=self._realtime._make_ref(),
            join_ref=channel.join_push.ref,
        )
        try:
            async with asyncio.timeout(SEND_S):
                await self._realtime.send(message)
        except (OSError, TimeoutError, WebSocketException) as err:
            self._inbox.lose("it does not take what is sent")
            raise LinkError("The office's Realtime does not take what is sent.") from err

    async def renew(self, token: SecretStr) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._realtime.set_auth(token.get_secret_value())
        except (OSError, TimeoutError, WebSocketException) as err:
            raise LinkError("The office's Realtime does not take the new token.") from err

    def fault(self) -> str | None:
        # The library shows neither a listener that died nor a channel that it dropped.
        listener = self._realtime._listen_task
        if not self._realtime.is_connected:
            return "the socket is closed"
        if listener is None or listener.done():
            return "the listener has ended"
        if self._channel is None or self._channel.state is not ChannelStates.JOINED:
            return "the channel is not joined"
        return None

    async def close(self) -> None:
        connection = self._realtime._ws_connection
        for channel in self._realtime.get_channels():
            # Else their timers live on and join again.
            channel.rejoin_timer.reset()
            channel.join_push.destroy()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._realtime.close()
        except (OSError, TimeoutError, WebSocketException):
            # The peer does not answer the closing handshake: end it here. The second close ends the library's tasks.
            if connection is not None:
                connection.transport.abort()
            await self._realtime.close()

    def _attend_tasks(self) -> None:
        """A task of the library that dies takes all deliveries with it, without a word: its end is a fault at once."""
        for task in (self._realtime._listen_task, self._realtime._heartbeat_task):
            if task is not None:
                task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        self._inbox.lose(f"a task of the library has ended: {error!r}" if error else "the socket was closed")

    def _on_state(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state is RealtimeSubscribeStates.SUBSCRIBED:
            self._joined = True
        else:
            self._inbox.lose(f"{state.value} {error or ''}".strip())


def keep_proxies_off_loopback() -> None:
    """websockets follows the proxies of the environment even for 127.0.0.1, and the library can't be told not to."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1"):
        listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = ",".join(filter(None, [listed, "127.0.0.1", "localhost", "::1"]))
