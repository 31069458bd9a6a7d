"""The output of a session as the console reads it."""

import re
from collections.abc import Sequence
from typing import Protocol

from semo_console.state.panes import Extent

QUESTION_ROWS = 8

_ESCAPES = re.compile(r"\x1b\[[0-9;:]*m")


class Output(Protocol):
    """Rows `first` to `end` (exclusive); `base` is the first row of the live screen, `cursor` a place on it."""

    first: int
    base: int
    screen_rows: int
    cursor: tuple[int, int] | None
    alternate: bool

    @property
    def end(self) -> int: ...

    def at(self, number: int) -> str | None: ...


def plain(row: str) -> str:
    """A row without its colours."""
    return _ESCAPES.sub("", row)


def extent_of(output: Output | None, height: int) -> Extent:
    """What can be shown: all rows but the empty ones below both the text and the cursor."""
    if output is None:
        return Extent(0, 0, height)
    cursor_end = output.base + output.cursor[0] + 1 if output.cursor else output.first
    end = output.end
    while end > cursor_end and not plain(output.at(end - 1) or "").strip():
        end -= 1
    return Extent(output.first, end, height)


def last_rows(output: Output | None, count: int = QUESTION_ROWS) -> Sequence[str]:
    """The last rows with text in them, without colours: where a program asks."""
    if output is None:
        return ()
    extent = extent_of(output, count)
    rows = [plain(output.at(number) or "").rstrip() for number in range(max(extent.first, extent.end - 40), extent.end)]
    return [row for row in rows if row][-count:]
