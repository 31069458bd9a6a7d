"""The agent's side of the holder: requests with a deadline, output by callback."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semo_agent.errors import LaunchFailed, TabNotFound, TerminalDied, TerminalError, TerminalTimeout
from semo_agent.holder.protocol import VERSION, FrameReader, Header, ProtocolError, pack

_RECEIVE = 256 * 1024
_REASONABLE = 5.0
"""Seconds; the holder answers at once whatever the programs do."""

Push = Callable[[Header, bytes], None]


class HolderClient:
    """One connection. `closed` is set when it is lost; then every request raises `TerminalDied`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, push: Push) -> None:
        self._reader = reader
        self._writer = writer
        self._push = push
        self._last_request = 0
        self._replies: dict[int, asyncio.Future[Header]] = {}
        self.closed = asyncio.Event()
        self.holder_pid = 0

    @classmethod
    async def connect(cls, socket: Path, push: Push, *, timeout: float = _REASONABLE) -> "HolderClient":
        """Connect and agree on the version; `run` must be started to receive anything else.

        Raises `TerminalDied` when nobody listens, `TerminalError` when the holder speaks another version.
        """
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(socket)
                client = cls(reader, writer, push)
                await client._greet()
        except TimeoutError as err:
            raise TerminalTimeout("The holder of the terminals does not answer.") from err
        except (OSError, EOFError) as err:
            raise TerminalDied("The holder of the terminals does not run.") from err
        return client

    async def run(self) -> None:
        """Receive until the connection ends; ends without an error then."""
        frames = FrameReader()
        try:
            while data := await self._reader.read(_RECEIVE):
                for header, body in frames.feed(data):
                    self._receive(header, body)
        except (OSError, ProtocolError) as err:
            self._fail_all(err)
        finally:
            self.closed.set()
            self._fail_all(None)
            self._writer.close()

    async def close(self) -> None:
        """Disconnect; `run` ends."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def request(self, verb: str, body: bytes = b"", *, timeout: float = _REASONABLE, **fields: Any) -> Header:
        """Ask and wait for the reply. Raises `TerminalError`, or the leaf of it that says what happened."""
        number, reply = self._send(verb, body, fields)
        try:
            async with asyncio.timeout(timeout):
                header = await reply
        except TimeoutError as err:
            raise TerminalTimeout(f"The holder did not answer {verb} within {timeout:g} s.") from err
        finally:
            self._replies.pop(number, None)
        return _checked(header)

    async def write(self, tab_id: str, data: bytes, *, timeout: float) -> None:
        """Hand all bytes to the program. What it has not taken within the deadline is never given to it."""
        number, reply = self._send("write", data, {"tab": tab_id})
        try:
            done, _ = await asyncio.wait([reply], timeout=timeout)
            if not done:
                await self.request("abandon", tab=tab_id, write=number)
                async with asyncio.timeout(_REASONABLE):
                    await reply
            header = reply.result()
        except TimeoutError as err:
            raise TerminalTimeout("The holder of the terminals does not answer.") from err
        finally:
            self._replies.pop(number, None)
        _checked(header)

    def notify(self, verb: str, body: bytes = b"", **fields: Any) -> None:
        """Ask without waiting for the reply."""
        if not self.closed.is_set():
            number, reply = self._send(verb, body, fields)
            reply.add_done_callback(lambda _: self._replies.pop(number, None))

    async def _greet(self) -> None:
        self._writer.write(pack({"id": 0, "verb": "hello", "version": VERSION}))
        frames = FrameReader()
        # Nothing else comes before it is asked for, so that no frame is lost with this reader.
        while data := await self._reader.read(_RECEIVE):
            for header, _ in frames.feed(data):
                self.holder_pid = _checked(header)["pid"]
                return
        raise EOFError

    def _send(self, verb: str, body: bytes, fields: Header) -> tuple[int, asyncio.Future[Header]]:
        if self.closed.is_set():
            raise TerminalDied("The holder of the terminals is gone.")
        self._last_request += 1
        reply: asyncio.Future[Header] = asyncio.get_running_loop().create_future()
        self._replies[self._last_request] = reply
        self._writer.write(pack({"id": self._last_request, "verb": verb, **fields}, body))
        return self._last_request, reply

    def _receive(self, header: Header, body: bytes) -> None:
        if "push" in header:
            self._push(header, body)
        elif (reply := self._replies.get(header["id"])) is not None and not reply.done():
            reply.set_result(header)

    def _fail_all(self, cause: BaseException | None) -> None:
        replies, self._replies = self._replies, {}
        for reply in replies.values():
            if not reply.done():
                reply.set_result({"kind": "died", "error": "The holder of the terminals is gone.", "cause": cause})


_ERRORS: dict[str, type[TerminalError]] = {
    "launch": LaunchFailed,
    "tab_not_found": TabNotFound,
    "abandoned": TerminalTimeout,
    "died": TerminalDied,
}


def _checked(header: Header) -> Header:
    if "error" in header:
        raise _ERRORS.get(header["kind"], TerminalError)(header["error"]) from header.get("cause")
    return header
