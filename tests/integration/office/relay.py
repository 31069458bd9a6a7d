"""A relay of Realtime that a test can make lie: it speaks WebSocket with both sides, and passes frame by frame."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.integration.hub_fixture import RunningHub
from tests.integration.office.wire import Wire, wire_to

Frame = dict[str, Any]


class Relay:
    """Passes every frame on while it is told nothing.

    `drops`: which frames of the hub get lost. `answers_join`: what a join gets in place of the hub's answer.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self.url = ""
        self.sent: list[Frame] = []
        self.opened = 0
        self.most_at_once = 0
        self.drops: Callable[[Frame], bool] = lambda _: False
        self.answers_join: Callable[[Frame], Frame | None] | None = None
        self.on_sent: Callable[[Frame], None] = lambda _: None
        self._news = asyncio.Event()
        self._target = f"ws://{parts.netloc}"
        self._sockets: dict[ServerConnection, list[Frame]] = {}

    @property
    def joins(self) -> list[Frame]:
        return [frame for frame in self.sent if frame["event"] == "phx_join"]

    @property
    def open_now(self) -> int:
        return len(self._sockets)

    async def is_sent(self, event: str) -> None:
        """Until a client has said so."""
        async with asyncio.timeout(20):
            while not any(frame["event"] == event for frame in self.sent):
                self._news.clear()
                await self._news.wait()

    async def say(self, event: str, payload: Frame, *, join_ref: str | None = None, ref: str | None = None) -> None:
        """Send a frame of one's own on the channel of every socket; `join_ref`: None, the one that the channel has."""
        for socket, joins in tuple(self._sockets.items()):
            for join in joins:
                frame = {"topic": join["topic"], "event": event, "payload": payload, "ref": ref or None}
                await self.send(socket, {**frame, "join_ref": join_ref or join["ref"]})

    async def say_raw(self, text: str | bytes) -> None:
        for socket in tuple(self._sockets):
            await socket.send(text)

    async def send(self, socket: ServerConnection, frame: Frame) -> None:
        await socket.send(json.dumps(frame))

    async def close_sockets(self, code: int, topic: str | None = None) -> None:
        for socket, joins in tuple(self._sockets.items()):
            if topic is None or any(join["topic"] == topic for join in joins):
                await socket.close(code)

    async def serve(self, near: ServerConnection) -> None:
        assert near.request is not None
        self._sockets[near] = []
        self.opened += 1
        self.most_at_once = max(self.most_at_once, len(self._sockets))
        try:
            async with connect(
                self._target + near.request.path, max_size=None, ping_interval=None, proxy=None, compression=None
            ) as far:
                sides = [
                    asyncio.create_task(self._from_client(near, far), name="relay: from client"),
                    asyncio.create_task(self._from_hub(near, far), name="relay: from hub"),
                ]
                await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
                for side in sides:
                    side.cancel()
                await asyncio.wait(sides)
                for side in sides:
                    if not side.cancelled():
                        side.result()
                await near.close(far.close_code or 1001)
        except (OSError, WebSocketException):
            await near.close(1011)
        finally:
            del self._sockets[near]

    async def _from_client(self, near: ServerConnection, far: ClientConnection) -> None:
        try:
            async for text in near:
                frame = json.loads(text)
                self.sent.append(frame)
                self._news.set()
                self.on_sent(frame)
                if frame["event"] == "phx_join":
                    self._sockets[near].append(frame)
                    if self.answers_join is not None:
                        if answer := self.answers_join(frame):
                            await self.send(near, answer)
                        continue
                await far.send(text)
        except ConnectionClosed:
            return

    async def _from_hub(self, near: ServerConnection, far: ClientConnection) -> None:
        try:
            async for text in far:
                if not self.drops(json.loads(text)):
                    await near.send(text)
        except ConnectionClosed:
            return


def join_error(reason: str) -> Callable[[Frame], Frame]:
    """A refusal in the words of the real service."""

    def answer(join: Frame) -> Frame:
        payload = {"status": "error", "response": {"reason": reason}}
        return {**_same_channel(join), "event": "phx_reply", "payload": payload, "ref": join["ref"]}

    return answer


def _same_channel(join: Frame) -> Frame:
    return {"topic": join["topic"], "join_ref": join["ref"]}


@dataclass
class HostileHub:
    """A real hub behind a wire and a relay: without a fault told to one of them, it is the hub."""

    wire: Wire
    relay: Relay

    @property
    def url(self) -> str:
        return self.wire.url


@asynccontextmanager
async def hostile(hub: RunningHub) -> AsyncIterator[HostileHub]:
    relay = Relay(hub.url)
    # Its own limits off: only the client's and the hub's count.
    async with serve(relay.serve, "127.0.0.1", 0, max_size=None, ping_interval=None, compression=None) as server:
        relay.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with wire_to(hub.url, relay.url) as wire:
            yield HostileHub(wire, relay)
