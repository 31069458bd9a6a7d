"""Frames between the holder and its clients.

A frame is two big-endian 32-bit lengths, a JSON object and raw bytes. A request carries `id` and `verb`; its
reply the same `id`, and `error` and `kind` when it failed; a push carries `push`.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

VERSION = 1
LONGEST_HEADER = 4 * 1024 * 1024
LONGEST_BODY = 8 * 1024 * 1024
"""Bytes."""

Header = dict[str, Any]

_LENGTHS = struct.Struct(">II")


class ProtocolError(Exception):
    """The other side does not speak this protocol."""


class RequestError(Exception):
    """A request that can't be done: a kind for the client's code, a sentence for a person."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def pack(header: Header, body: bytes = b"") -> bytes:
    """One frame."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(head), len(body)) + head + body


class FrameReader:
    """Takes a byte stream apart."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Header, bytes]]:
        """The frames that are complete now. Raises `ProtocolError` for what can't be one."""
        self._received += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> tuple[Header, bytes] | None:
        if len(self._received) < _LENGTHS.size:
            return None
        head_length, body_length = _LENGTHS.unpack_from(self._received)
        if head_length > LONGEST_HEADER or body_length > LONGEST_BODY:
            raise ProtocolError(f"A frame of {head_length} + {body_length} bytes is too long.")
        body_at = _LENGTHS.size + head_length
        end = body_at + body_length
        if len(self._received) < end:
            return None
        header = _decode_header(bytes(self._received[_LENGTHS.size : body_at]))
        body = bytes(self._received[body_at:end])
        del self._received[:end]
        return header, body


def _decode_header(head: bytes) -> Header:
    try:
        header = json.loads(head)
    except ValueError as err:
        raise ProtocolError("A frame's header is not JSON.") from err
    if not isinstance(header, dict):
        raise ProtocolError("A frame's header is not an object.")
    return header


def size_in(header: Header) -> tuple[int, int]:
    """Columns and rows of a request. Raises `RequestError` when no terminal has them."""
    cols, rows = header["cols"], header["rows"]
    if not (0 < cols < 65536 and 0 < rows < 65536):
        raise RequestError("bad_request", f"A terminal of {cols}x{rows} cells is not possible.")
    return cols, rows
