"""One client of `/realtime/v1/websocket`: its channels, and both directions of its connection."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from semo_hub.channel import PREFIX, Channel, Gate, refusal_of
from semo_hub.errors import AccessDenied, HubError
from semo_hub.exchange import Exchange, Outbox, Topic, frame
from semo_hub.policies import PolicyUnavailable

_SILENCE_LIMIT = 60.0  # s; clients send a heartbeat every 25 s
_SEND_TIMEOUT = 20.0  # s
_MAX_CHANNELS = 100
_POLICY_VIOLATION = 1008

log = structlog.get_logger("semo_hub.realtime")


class NotAMessage(HubError):
    """What a client sent is no message of protocol 1.0.0."""


@dataclass(frozen=True)
class Message:
    """What a client sends."""

    topic: str
    event: str
    payload: dict[str, Any]
    ref: str | None
    join_ref: str | None

    @classmethod
    def parse(cls, text: str) -> "Message":
        """Raises NotAMessage."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise NotAMessage("it is not JSON") from err
        if not isinstance(content, dict):
            raise NotAMessage("it is not an object")
        topic, event, payload = content.get("topic"), content.get("event"), content.get("payload")
        if not isinstance(topic, str) or not isinstance(event, str):
            raise NotAMessage("topic and event are no texts")
        if not topic.isprintable():
            raise NotAMessage("its topic holds control characters")
        refs = [None if content.get(key) is None else str(content[key]) for key in ("ref", "join_ref")]
        return cls(topic, event, payload if isinstance(payload, dict) else {}, *refs)


class Socket:
    """One client: its channels by topic, and what waits to be sent to it."""

    def __init__(self, websocket: WebSocket, exchange: Exchange, gate: Gate, now: Callable[[], float]) -> None:
        self._websocket = websocket
        self._exchange = exchange
        self._gate = gate
        self._now = now
        self._channels: dict[str, Channel] = {}
        self._outbox = Outbox()
        self._tokens_changed = asyncio.Event()

    async def serve(self) -> None:
        """Run until the client leaves, falls silent, sends rubbish or does not read; then clean up."""
        sides = [
            asyncio.create_task(self._receive(), name="socket: receive"),
            asyncio.create_task(self._send(), name="socket: send"),
            asyncio.create_task(self._recheck_tokens(), name="socket: recheck tokens"),
            asyncio.create_task(self._outbox.overflowed.wait(), name="socket: overflow"),
        ]
        try:
            done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for topic in list(self._channels):
                self._remove(topic)
            for side in sides:
                side.cancel()
            await asyncio.gather(*sides, return_exceptions=True)
        for side in done:
            side.result()
        if self._outbox.overflowed.is_set():
            log.warning("closed a socket that does not read what it is sent")

    async def _receive(self) -> None:
        try:
            while True:
                async with asyncio.timeout(_SILENCE_LIMIT):
                    message = await self._next_message()
                await self._handle(message)
        except WebSocketDisconnect:
            return
        except TimeoutError:
            log.info("closed a socket that fell silent")
        except NotAMessage as err:
            log.info("closed a socket that does not speak the protocol", error=str(err))
            async with asyncio.timeout(_SEND_TIMEOUT):
                await self._websocket.close(_POLICY_VIOLATION, f"not a message of protocol 1.0.0: {err}")

    async def _next_message(self) -> Message:
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code") or 1005)
        if event.get("text") is None:
            raise NotAMessage("it is binary")
        return Message.parse(event["text"])

    async def _send(self) -> None:
        try:
            while True:
                text = await self._outbox.take()
                async with asyncio.timeout(_SEND_TIMEOUT):
                    await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError, TimeoutError) as err:
            # Starlette raises RuntimeError for a socket that our other side has closed.
            log.info("a socket went away while it was written to", error=type(err).__name__)

    async def _handle(self, message: Message) -> None:
        if message.event == "phx_join":
            await self._join(message)
            return
        channel = self._channels.get(message.topic)
        if message.topic == "phoenix" or message.event == "phx_leave":
            self._reply(message)
            if channel is not None:
                self._close(message.topic, channel)
        elif channel is None:
            self._reply(message, error="unmatched topic")
        elif message.event == "access_token":
            await self._renew(message, channel)
        elif message.event == "broadcast":
            await self._broadcast(message, channel)
        else:
            self._reply(message, error=f"{message.event} is not built in this hub yet")

    async def _join(self, message: Message) -> None:
        """Like the real service, a second join of a topic ends the first one, after its own answer."""
        earlier = self._remove(message.topic)
        try:
            channel = await self._open(message)
        except (AccessDenied, PolicyUnavailable) as err:
            self._reply(message, error=refusal_of(err))
        else:
            self._channels[message.topic] = channel
            self._reply(message, {"postgres_changes": []})
            self._exchange.join(channel.topic, channel)
            self._tokens_changed.set()
        if earlier is not None:
            self._say(message.topic, "phx_close", {}, ref=earlier.join_ref, join_ref=earlier.join_ref)

    async def _open(self, message: Message) -> Channel:
        """Raises AccessDenied or PolicyUnavailable."""
        config = _object(message.payload, "config")
        self._require_built(message.topic, config)
        topic = Topic(message.topic.removeprefix(PREFIX), bool(config.get("private")))
        caller = self._gate.caller_of(message.payload.get("access_token"))
        await self._gate.require_read(caller, topic)
        join_ref = message.join_ref or message.ref
        return Channel(topic, join_ref, _object(config, "broadcast"), caller, self._gate, self._outbox)

    def _require_built(self, topic: str, config: dict[str, Any]) -> None:
        if not topic.startswith(PREFIX) or topic == PREFIX:
            raise AccessDenied("unmatched topic")
        if config.get("postgres_changes"):
            raise AccessDenied("postgres_changes is not built in this hub yet: use broadcast")
        if _object(config, "presence").get("enabled"):
            raise AccessDenied("presence is not built in this hub yet: use broadcast")
        if len(self._channels) >= _MAX_CHANNELS:
            raise AccessDenied(f"ChannelRateLimitReached: more than {_MAX_CHANNELS} channels on one socket")

    async def _renew(self, message: Message, channel: Channel) -> None:
        """Nothing is answered, unless the channel must end."""
        try:
            if await channel.renew(message.payload.get("access_token")):
                self._tokens_changed.set()
        except (AccessDenied, PolicyUnavailable) as err:
            self._shut(message.topic, channel, str(err))

    async def _broadcast(self, message: Message, channel: Channel) -> None:
        """A client that may not write is not answered, even when it asked for an acknowledgement."""
        try:
            sent = await channel.broadcast(message.payload, self._exchange)
        except PolicyUnavailable as err:
            log.warning("a broadcast was not sent", error=str(err))
            return
        if sent and channel.wants_ack:
            self._reply(message)

    async def _recheck_tokens(self) -> None:
        while True:
            self._tokens_changed.clear()
            due = min((channel.recheck_at for channel in self._channels.values()), default=None)
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._now())):
                    await self._tokens_changed.wait()
            except TimeoutError:
                await self._recheck_due()

    async def _recheck_due(self) -> None:
        for topic, channel in list(self._channels.items()):
            if channel.recheck_at > self._now():
                continue
            try:
                await channel.recheck()
            except AccessDenied as err:
                self._shut(topic, channel, str(err))
            except PolicyUnavailable as err:
                # It was allowed so far: a database that restarts must not end every channel.
                log.warning("a channel could not be checked again", error=str(err))

    def _shut(self, topic: str, channel: Channel, reason: str) -> None:
        """End a channel for a reason the client is told."""
        if self._channels.get(topic) is channel:
            detail = {
                "channel": channel.topic.name,
                "extension": "system",
                "status": "error",
                "message": reason,
            }
            self._say(topic, "system", detail)
            self._close(topic, channel)

    def _close(self, topic: str, channel: Channel) -> None:
        self._remove(topic)
        self._say(topic, "phx_close", {}, ref=channel.join_ref, join_ref=channel.join_ref)

    def _remove(self, topic: str) -> Channel | None:
        channel = self._channels.pop(topic, None)
        if channel is not None:
            self._exchange.leave(channel.topic, channel)
        return channel

    def _reply(self, message: Message, response: dict[str, Any] | None = None, *, error: str | None = None) -> None:
        payload = {
            "status": "ok" if error is None else "error",
            "response": (response or {}) if error is None else {"reason": error},
        }
        self._say(message.topic, "phx_reply", payload, ref=message.ref, join_ref=message.join_ref)

    def _say(
        self,
        topic: str,
        event: str,
        payload: dict[str, Any],
        *,
        ref: str | None = None,
        join_ref: str | None = None,
    ) -> None:
        self._outbox.put(frame(topic, event, payload, ref=ref, join_ref=join_ref))


def _object(container: dict[str, Any], key: str) -> dict[str, Any]:
    value = container.get(key)
    return value if isinstance(value, dict) else {}
