"""What of a session's output its watchers do not know yet."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from semo_agent.terminals.base import Line, Screen, Size

SCROLLBACK: Final = 500
"""Committed lines that come with a whole screen, and the most that one delta brings."""
MESSAGE_BYTES: Final = 180_000
"""Rows of one message as JSON; with what is around them it stays below 200 kB."""

_RESET: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Sent:
    """What watchers know who missed nothing. `left_out`: lines above the screen were passed over in a flood."""

    epoch: int
    base: int
    rows: tuple[str, ...]
    cursor: tuple[int, int] | None
    alternate: bool
    title: str
    size: Size
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """From row `first` on the output is exactly these rows."""

    first: int
    rows: tuple[str, ...]


def first_needed(sent: Sent | None, screen: Screen) -> int:
    """The number of the first committed line that a delta needs; the screen's base: none."""
    if sent is None or sent.epoch != screen.epoch or sent.base > screen.base:
        return max(screen.base - SCROLLBACK, 0)
    if screen.base - sent.base > SCROLLBACK:
        # A flood: nobody reads so fast. The screen has to do, until the flood is over.
        return screen.base
    return max(screen.base - SCROLLBACK, 0) if sent.left_out else sent.base


def sent_after(sent: Sent | None, screen: Screen) -> Sent:
    """What watchers know once they have the delta."""
    return Sent(
        epoch=screen.epoch,
        base=screen.base,
        rows=tuple(row.styled for row in screen.rows),
        cursor=cursor_of(screen),
        alternate=screen.alternate,
        title=screen.title,
        size=screen.size,
        left_out=first_needed(sent, screen) == screen.base and sent is not None and sent.base < screen.base,
    )


def cut(sent: Sent | None, now: Sent, committed: Sequence[Line]) -> Delta | None:
    """The rows from the first that changed; `committed`: from `first_needed` to the screen. None: nothing changed."""
    lines = tuple(line.styled for line in committed) if _leads_to(now.base, committed) else ()
    first, rows = now.base - len(lines), (*lines, *now.rows)
    if sent is None or sent.epoch != now.epoch or sent.left_out or first != sent.base:
        return Delta(first, rows)
    same = _common(sent.rows, rows)
    return None if sent == now else Delta(first + same, rows[same:])


def pieces(delta: Delta, most_bytes: int = MESSAGE_BYTES) -> Iterator[Delta]:
    """The delta in parts that fit into one message each, in order; one part for nothing but a moved cursor."""
    first, rows, room = delta.first, list[str](), most_bytes
    for row in delta.rows:
        row, length = _fitted(row, most_bytes)
        if rows and length > room:
            yield Delta(first, tuple(rows))
            first, rows, room = first + len(rows), [], most_bytes
        rows.append(row)
        room -= length
    yield Delta(first, tuple(rows))


def cursor_of(screen: Screen) -> tuple[int, int] | None:
    return (screen.cursor_row, screen.cursor_col) if screen.cursor_visible else None


def json_bytes(row: str) -> int:
    """Bytes of a row in a message, with quotes and comma."""
    return len(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")) + 1


def _leads_to(base: int, committed: Sequence[Line]) -> bool:
    """Whether the lines stand right above the screen; the oldest wanted may be no longer kept."""
    return bool(committed) and committed[0].number == base - len(committed)


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    for at, (known, row) in enumerate(zip(old, new, strict=False)):
        if known != row:
            return at
    return min(len(old), len(new))


def _fitted(row: str, most_bytes: int) -> tuple[str, int]:
    """A row no longer than a message: of one that is, the beginning."""
    length = json_bytes(row)
    if length <= most_bytes:
        return row, length
    cut_off = row[: most_bytes // 8] + _RESET
    return cut_off, json_bytes(cut_off)
