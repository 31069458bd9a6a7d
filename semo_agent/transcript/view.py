"""A look at the log of one session as it was at one moment; safe to read in another thread."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from semo_agent.emulator import line_from
from semo_agent.terminals.base import Line


@dataclass(frozen=True, slots=True)
class EpochStart:
    """Where an epoch begins in the log: the ordinal of its first line, and that line's number."""

    epoch: int
    ordinal: int
    number: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of lines that is complete: ordinals `first` to `first + count`."""

    first: int
    count: int
    size: int
    path: Path


@dataclass(frozen=True, slots=True)
class LogView:
    """Complete segments, then the lines in memory. Ordinals count all lines ever written, over all epochs."""

    epochs: Sequence[EpochStart]
    segments: Sequence[Segment]
    tail_first: int
    tail: Sequence[Line]

    @property
    def first(self) -> int:
        """Ordinal of the oldest line kept."""
        return self.segments[0].first if self.segments else self.tail_first

    @property
    def end(self) -> int:
        return self.tail_first + len(self.tail)

    def ordinal_at(self, epoch: int, number: int) -> int:
        """How many lines of the log come before a line, kept or not, in it or not."""
        found = self.end
        for start in reversed(self.epochs):
            if start.epoch < epoch:
                break
            if start.epoch == epoch:
                return max(start.ordinal, min(start.ordinal + number - start.number, found))
            found = start.ordinal
        return found

    def lines(self, first: int, last: int) -> list[Line]:
        """Lines by ordinal that are kept, `last` exclusive."""
        found = list(self.backwards(first, last))
        found.reverse()
        return found

    def backwards(self, first: int, last: int) -> Iterator[Line]:
        """The same from the newest to the oldest; files are read as they are reached."""
        first, last = max(first, self.first), min(last, self.end)
        yield from reversed(self.tail[max(first - self.tail_first, 0) : max(last - self.tail_first, 0)])
        for segment in reversed(self.segments):
            if segment.first + segment.count <= first:
                return
            if segment.first < last:
                wanted = slice(max(first - segment.first, 0), last - segment.first)
                yield from reversed(_read(segment)[wanted])


def encode(lines: Sequence[Line]) -> bytes:
    """Lines as they are stored."""
    records = ([line.epoch, line.number, int(line.wrapped), line.styled] for line in lines)
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def decode(data: bytes) -> list[Line]:
    """Stored lines. Raises `ValueError` when they are damaged."""
    lines = []
    # Only LF ends a record: other line ends may stand inside a text.
    for record in data.decode().split("\n")[:-1]:
        epoch, number, wrapped, styled = json.loads(record)
        lines.append(line_from(epoch, number, styled, bool(wrapped)))
    return lines


def _read(segment: Segment) -> list[Line]:
    try:
        return decode(segment.path.read_bytes())
    except FileNotFoundError:
        # It was the oldest, and was dropped after this look was taken.
        return []
