"""A viewer's connection to the holder."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from semo_agent.holder.protocol import FrameReader, Header, RequestError, pack

READ: Final = 64 * 1024


@dataclass
class HolderLink:
    """One connection, for a process without an event loop. `waiting`: what the socket has not taken yet."""

    sock: socket.socket
    frames: FrameReader = field(default_factory=FrameReader)
    waiting: bytearray = field(default_factory=bytearray)
    _early: list[tuple[Header, bytes]] = field(default_factory=list)
    _number: int = 0

    def request(self, verb: str, *, hand: int | None = None, **fields: Any) -> Header:
        """Ask and wait for the reply. hand: an open file that goes with it. Raises `RequestError`, `OSError`."""
        self._number += 1
        frame = pack({"id": self._number, "verb": verb, **fields})
        if hand is None:
            self.sock.sendall(frame)
        else:
            sent = socket.send_fds(self.sock, [frame], [hand])
            self.sock.sendall(frame[sent:])
        return self._await_reply()

    def notify(self, verb: str, body: bytes = b"", **fields: Any) -> int:
        """Ask without waiting; the number that the reply will have."""
        self._number += 1
        self.waiting += pack({"id": self._number, "verb": verb, **fields}, body)
        return self._number

    def flush(self) -> None:
        """Send what the socket takes."""
        with contextlib.suppress(BlockingIOError):
            del self.waiting[: self.sock.send(self.waiting)]

    def receive(self) -> Iterator[tuple[Header, bytes]]:
        """The frames that are there. Raises `EOFError` when the holder is gone."""
        early, self._early = self._early, []
        yield from early
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        yield from self.frames.feed(data)

    def _await_reply(self) -> Header:
        while data := self.sock.recv(READ):
            frames = list(self.frames.feed(data))
            replies = [header for header, _ in frames if header.get("id") == self._number]
            self._early += [frame for frame in frames if "push" in frame[0]]
            if replies and "error" in replies[0]:
                raise RequestError(replies[0]["kind"], replies[0]["error"])
            if replies:
                return replies[0]
        raise RequestError("died", "the holder of the terminals is gone")
