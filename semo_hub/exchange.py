"""Who listens to which topic, and what waits to be sent to each socket."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

MAX_FRAME = 1_000_000  # bytes; the Python client breaks its connection at 1 MiB
_MAX_WAITING = 2_000  # frames
_MAX_WAITING_SIZE = 8 * 1024 * 1024  # characters

log = structlog.get_logger("semo_hub.exchange")


@dataclass(frozen=True)
class Topic:
    """A topic and its kind: the private and the public topic of one name have nothing in common."""

    name: str
    private: bool


class Listener(Protocol):
    """A channel that has joined a topic."""

    def deliver(self, frame: str) -> None:
        """Take a frame; must neither block nor raise."""


class Exchange:
    """Hands every broadcast to the channels of its topic; a slow one never delays the others."""

    def __init__(self) -> None:
        self._listeners: dict[Topic, dict[Listener, None]] = {}

    def join(self, topic: Topic, listener: Listener) -> None:
        self._listeners.setdefault(topic, {})[listener] = None

    def leave(self, topic: Topic, listener: Listener) -> None:
        """Leaving a topic that was not joined changes nothing."""
        listeners = self._listeners.get(topic, {})
        listeners.pop(listener, None)
        if not listeners:
            self._listeners.pop(topic, None)

    def broadcast(self, topic: Topic, payload: str, *, sender: Listener | None = None) -> None:
        """Send `payload`, JSON text, to everyone on `topic` but `sender`."""
        listeners = self._listeners.get(topic)
        if not listeners:
            return
        frame = broadcast_frame(topic.name, payload)
        # No character takes more than four bytes: only a long frame needs to be measured.
        if len(frame) * 4 > MAX_FRAME and len(frame.encode()) > MAX_FRAME:
            log.warning("a broadcast is too large for any client", topic=topic.name, characters=len(frame))
            return
        for listener in list(listeners):
            if listener is not sender:
                listener.deliver(frame)


class Outbox:
    """Frames that wait for one socket, bounded in number and in size."""

    def __init__(self) -> None:
        self._frames: deque[str] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self.overflowed = asyncio.Event()

    def put(self, frame: str) -> None:
        """Add a frame; when there is no room the outbox has overflowed for good, and its socket must go."""
        if len(self._frames) >= _MAX_WAITING or self._size + len(frame) > _MAX_WAITING_SIZE:
            self.overflowed.set()
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._filled.set()

    async def take(self) -> str:
        """The oldest frame, as soon as there is one."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        frame = self._frames.popleft()
        self._size -= len(frame)
        return frame


def broadcast_frame(topic: str, payload: str) -> str:
    """A frame around a payload that is JSON text already: what the database wrote is not parsed again."""
    return f'{{"topic":{json.dumps("realtime:" + topic)},"event":"broadcast","payload":{payload},"ref":null}}'


def frame(
    topic: str, event: str, payload: dict[str, Any], *, ref: str | None = None, join_ref: str | None = None
) -> str:
    """A frame of protocol version 1.0.0; `topic` is the whole one, with its prefix."""
    return json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref})


def stored_payload(message_id: str, event: str, payload: str) -> str:
    """The payload of a broadcast that came from the table realtime.messages."""
    head = json.dumps({"type": "broadcast", "event": event, "meta": {"id": message_id}})
    return f'{head[:-1]},"payload":{payload}}}'
