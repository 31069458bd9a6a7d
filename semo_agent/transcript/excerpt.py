"""The text that a program wrote between two positions."""

from collections.abc import Iterator

from semo_agent.emulator.cells import split_at_column
from semo_agent.terminals.base import Excerpt, Line, Position, Screen
from semo_agent.transcript.view import LogView


def text_between(log: LogView, screen: Screen, start: Position, end: Position, max_bytes: int) -> Excerpt:
    """Plain text from `start` to `end`: log and screen must be of the same moment.

    Soft-wrapped rows are joined. When the cursor went back above `start`, the text begins at the top of the
    screen. Of more than `max_bytes` the end is kept. May read files: not for the event loop.
    """
    if end < start:
        start = Position(end.epoch, min(screen.base, end.line) if screen.epoch == end.epoch else 0)
    pieces: list[str] = []
    room = max_bytes
    for row in _rows_backwards(log, screen, start, end):
        piece = _cut(row, start, end)
        if not row.wrapped and pieces:
            piece += "\n"
        room -= len(piece.encode("utf-8", "replace"))
        if room < 0:
            break
        pieces.append(piece)
    text = "".join(reversed(pieces)).removesuffix("\n")
    return Excerpt(text, _count(log, screen, start, end) - len(pieces))


def _rows_backwards(log: LogView, screen: Screen, start: Position, end: Position) -> Iterator[Line]:
    yield from reversed(_screen_rows(screen, start, end))
    yield from log.backwards(*_log_range(log, start, end))


def _count(log: LogView, screen: Screen, start: Position, end: Position) -> int:
    """Rows between the positions, those that are no longer kept too."""
    first, last = _log_range(log, start, end)
    return last - first + len(_screen_rows(screen, start, end))


def _log_range(log: LogView, start: Position, end: Position) -> tuple[int, int]:
    first = log.ordinal_at(start.epoch, start.line)
    return first, max(first, log.ordinal_at(end.epoch, end.line + 1))


def _screen_rows(screen: Screen, start: Position, end: Position) -> list[Line]:
    if screen.alternate:
        return []
    begin, stop = (start.epoch, start.line), (end.epoch, end.line)
    return [row for row in screen.rows if begin <= (row.epoch, row.number) <= stop]


def _cut(row: Line, start: Position, end: Position) -> str:
    """What of a row lies between the positions."""
    text = row.text
    if (row.epoch, row.number) == (end.epoch, end.line):
        text = split_at_column(text, end.column)[0]
    if (row.epoch, row.number) == (start.epoch, start.line):
        text = split_at_column(text, start.column)[1]
    return text
