"""A bare Realtime socket: what an identity is told when it joins and writes, frame by frame."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

DEADLINE = 10.0  # s


class PhoenixSocket:
    """One socket, one channel at a time; broadcasts that it heard are kept in `heard`."""

    def __init__(self, connection: ClientConnection, token: str) -> None:
        self._connection = connection
        self._token = token
        self._ref = 0
        self.heard: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: str, token: str) -> AsyncIterator[Self]:
        address = f"{url.replace('http', 'ws', 1)}/realtime/v1/websocket?apikey={key}&vsn=1.0.0"
        async with connect(address, proxy=None) as connection:
            yield cls(connection, token)

    async def join(self, topic: str, *, private: bool) -> bool:
        """Join; whether the server let it in."""
        config = {"private": private, "broadcast": {"ack": False, "self": False}, "presence": {"key": ""}}
        payload = {"config": {**config, "postgres_changes": []}, "access_token": self._token}
        return await self._ask(topic, "phx_join", payload) == "ok"

    async def leave(self, topic: str) -> None:
        await self._ask(topic, "phx_leave", {})

    async def broadcast(self, topic: str, text: str) -> None:
        """Write, and return when the server has dealt with it: it answers the heartbeat that follows afterwards."""
        await self._send(topic, "broadcast", {"type": "broadcast", "event": "said", "payload": {"text": text}})
        await self._ask("phoenix", "heartbeat", {})

    async def hear(self, text: str) -> None:
        """Return when this text has arrived; what came before it is in `heard`."""
        while text not in self.heard:
            await self._receive()

    async def _ask(self, topic: str, event: str, payload: dict[str, Any]) -> str:
        ref = await self._send(topic, event, payload)
        while True:
            answer = await self._receive()
            if answer["event"] == "phx_reply" and answer["ref"] == ref:
                status: str = answer["payload"]["status"]
                return status

    async def _send(self, topic: str, event: str, payload: dict[str, Any]) -> str:
        self._ref += 1
        name = topic if topic == "phoenix" else f"realtime:{topic}"
        frame = {"topic": name, "event": event, "payload": payload, "ref": str(self._ref), "join_ref": "1"}
        await self._connection.send(json.dumps(frame))
        return str(self._ref)

    async def _receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self._connection.recv(), DEADLINE))
        if frame["event"] == "broadcast":
            self.heard.append(frame["payload"]["payload"].get("text", ""))
        return frame
