"""The messages of logical replication, as PostgreSQL's plugin `pgoutput` writes them (protocol version 1)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from semo_hub.errors import PostgresError


@dataclass(frozen=True)
class Relation:
    """A table of the stream: its columns in the order in which rows are sent."""

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Inserted:
    """A new row: texts by column; None is null."""

    relation: Relation
    row: dict[str, str | None]


@dataclass(frozen=True)
class Committed:
    """The end of a transaction, and the place in the log after it."""

    end: int


@dataclass(frozen=True)
class Changes:
    """A stretch of the log: one pgoutput message in `content`, and where the log stood."""

    end: int
    content: bytes


@dataclass(frozen=True)
class KeepAlive:
    """The server is alive; `reply_wanted`: it wants to know at once that we are."""

    end: int
    reply_wanted: bool


def read_frame(frame: bytes) -> Changes | KeepAlive:
    """One message of the streaming protocol. Raises PostgresError for a kind that does not exist."""
    kind = frame[:1]
    if kind == b"w":
        start, end, _sent_at = struct.unpack_from("!QQQ", frame, 1)
        return Changes(max(start, end), frame[25:])
    if kind == b"k":
        end, _sent_at, wanted = struct.unpack_from("!QQB", frame, 1)
        return KeepAlive(end, bool(wanted))
    raise PostgresError(f"the replication stream holds a message of the unknown kind {kind!r}")


def status_update(received: int, microseconds: int) -> bytes:
    """Tell the server how far we are; `microseconds` since 2000-01-01."""
    return struct.pack("!cQQQQB", b"r", received, received, received, microseconds, 0)


class Decoder:
    """Turns messages into facts; remembers the tables that the stream has described."""

    def __init__(self) -> None:
        self._relations: dict[int, Relation] = {}

    def read(self, content: bytes) -> Inserted | Committed | None:
        """The fact in one message, None where it is of no interest here. Raises PostgresError."""
        try:
            return self._read(_Cursor(content, 1), content[:1])
        except (struct.error, IndexError, KeyError, UnicodeDecodeError) as err:
            raise PostgresError("the replication stream holds a malformed message") from err

    def _read(self, cursor: "_Cursor", kind: bytes) -> Inserted | Committed | None:
        if kind == b"R":
            self._describe(cursor)
        elif kind == b"I":
            return self._inserted(cursor)
        elif kind == b"C":
            _flags, _commit, end, _at = cursor.take("!BQQQ")
            return Committed(end)
        return None

    def _describe(self, cursor: "_Cursor") -> None:
        (oid,) = cursor.take("!I")
        schema, name = cursor.text(), cursor.text()
        _identity, count = cursor.take("!cH")
        columns = []
        for _ in range(count):
            cursor.take("!B")
            columns.append(cursor.text())
            cursor.take("!Ii")
        self._relations[oid] = Relation(oid, schema, name, tuple(columns))

    def _inserted(self, cursor: "_Cursor") -> Inserted:
        oid, _marker, count = cursor.take("!IcH")
        relation = self._relations[oid]
        values = list(cursor.values(count))
        if len(values) != len(relation.columns):
            raise PostgresError(f"a row of {relation.name} has {count} columns and not {len(relation.columns)}")
        return Inserted(relation, dict(zip(relation.columns, values, strict=True)))


class _Cursor:
    """A place in a message that moves on as it is read."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._position = position

    def take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._content, self._position)
        self._position += struct.calcsize(layout)
        return values

    def text(self) -> str:
        """Up to the next zero byte."""
        end = self._content.find(b"\0", self._position)
        if end < 0:
            raise IndexError("a text without an end")
        text = self._content[self._position : end].decode()
        self._position = end + 1
        return text

    def values(self, count: int) -> Iterator[str | None]:
        """`n`: null. `u`: a large value that did not change, which an insert never has. `t`: text."""
        for _ in range(count):
            kind = self._content[self._position : self._position + 1]
            self._position += 1
            if kind in (b"n", b"u"):
                yield None
                continue
            (length,) = self.take("!I")
            value = self._content[self._position : self._position + length]
            if kind != b"t" or len(value) != length:
                raise IndexError("a value that is no text, or is cut short")
            self._position += length
            yield value.decode()
