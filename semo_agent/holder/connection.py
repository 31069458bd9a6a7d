"""One client of the holder: frames in, replies and output out."""

import os
import socket
from collections import deque
from collections.abc import Iterator

from semo_agent.holder.protocol import FrameReader, Header, RequestError, pack
from semo_agent.holder.tab import HeldTab, Resized

_RECEIVE = 256 * 1024
_CHUNK = 64 * 1024
_BUSY = 256 * 1024
"""Bytes waiting for the socket at which no more output is taken from tabs."""


class Attachment:
    """How far a client has got with the output of a tab. views: it shows the tab, and keeps nothing."""

    def __init__(self, tab: HeldTab, offset: int, *, views: bool = False) -> None:
        self.tab = tab
        self.sent = offset
        self.views = views
        self.told_exit = False
        self._told_resizes = 0
        self._begin = offset

    def next_resize(self) -> Resized | None:
        """The next change of size that the client is to be told; a viewer made them itself."""
        if self.views:
            return None
        while (resized := self.tab.next_resize(self._told_resizes)) is not None and resized.offset < self._begin:
            self.note_told(resized)
        return resized

    def note_told(self, resized: Resized) -> None:
        self._told_resizes = resized.number + 1


class Connection:
    """Non-blocking; the server calls it when the socket is ready."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.greeted = False
        self.attachments: dict[str, Attachment] = {}
        self._frames = FrameReader()
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._handed: deque[int] = deque()

    def receive(self) -> Iterator[tuple[Header, bytes]] | None:
        """The frames that arrived; None when the client is gone."""
        try:
            data, handed, _, _ = socket.recv_fds(self.sock, _RECEIVE, 1)
        except BlockingIOError:
            return iter(())
        except OSError:
            return None
        for descriptor in handed:
            os.set_inheritable(descriptor, False)
            os.set_blocking(descriptor, False)
        self._handed.extend(handed)
        return self._frames.feed(data) if data else None

    def take_handed(self) -> int:
        """The open file that came with a frame; whoever takes it closes it. Raises `RequestError`."""
        if not self._handed:
            raise RequestError("bad_request", "An open file must come with this request.")
        return self._handed.popleft()

    def close(self) -> None:
        """Close the socket, and what was handed over in vain."""
        self.sock.close()
        while self._handed:
            os.close(self._handed.popleft())

    def send(self, header: Header, body: bytes = b"") -> None:
        """Put a frame in line."""
        frame = pack(header, body)
        self._waiting.append(memoryview(frame))
        self._waiting_bytes += len(frame)

    def wants_to_write(self) -> bool:
        return bool(self._waiting)

    def pump(self) -> bool:
        """Send what the socket takes, refilling from the tabs in turn; false when the client is gone."""
        try:
            while self._waiting or self._refill():
                if not self._flush():
                    return True
        except OSError:
            return False
        return True

    def _flush(self) -> bool:
        """Empty the line into the socket; false when the socket is full."""
        while self._waiting:
            try:
                count = self.sock.send(self._waiting[0])
            except BlockingIOError:
                return False
            self._waiting_bytes -= count
            if count == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][count:]
        return True

    def _refill(self) -> bool:
        """Take a chunk of every tab in turn; false when no tab has any."""
        taken = False
        for attachment in list(self.attachments.values()):
            if self._waiting_bytes < _BUSY:
                taken |= self._take(attachment)
        return taken

    def _take(self, attachment: Attachment) -> bool:
        tab, limit = attachment.tab, _CHUNK
        resized = attachment.next_resize()
        if resized is not None:
            if resized.offset <= max(attachment.sent, tab.output.start):
                attachment.note_told(resized)
                size = {"cols": resized.cols, "rows": resized.rows}
                self.send({"push": "resized", "tab": tab.tab_id, "offset": resized.offset, **size})
                return True
            limit = min(limit, resized.offset - max(attachment.sent, tab.output.start))
        if attachment.sent < tab.output.end:
            offset, data = tab.output.read(attachment.sent, limit)
            attachment.sent = offset + len(data)
            self.send({"push": "output", "tab": tab.tab_id, "offset": offset}, data)
            return True
        if tab.finished and not attachment.told_exit:
            attachment.told_exit = True
            self.send({"push": "exited", "tab": tab.tab_id, "exit": tab.exit, "end": tab.output.end})
            return True
        return False
