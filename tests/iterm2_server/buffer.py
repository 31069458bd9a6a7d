"""The lines of a session as iTerm2 counts them: overflow, history, grid."""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from semo_agent.emulator import Emulator, Fed
from semo_agent.emulator.escapes import Cut, Escape, EscapeScanner
from semo_agent.terminals.base import Size
from tests.iterm2_server.rows import Row, wrapped_anew

MOST_LINES = 1_000_000
"""Lines that one request may ask for."""

_SCROLL_SCREEN_OUT = b"\x1b[22J\x1b[H"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the buffer; `y` counts from the first line that the session ever had."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of shell integration, OSC 133: its letter, what follows it, where it was set."""

    kind: str
    parameters: str
    at: Cursor


class Buffer:
    """The screen of a session and what scrolled off it.

    `overflow` lines were lost from the head; the history begins after them, the grid after the history. Clearing the
    scrollback empties the history and leaves `overflow`: numbers go back. Another width wraps the history anew: all
    numbers change.
    """

    def __init__(self, size: Size, limit: int | None) -> None:
        """`limit`: lines of history that are kept, None for all."""
        self._emulator = Emulator(size)
        self._scanner = EscapeScanner()
        self._limit = limit
        self.history: deque[Row] = deque()
        self.overflow = 0
        self._marks: list[Mark] = []

    @property
    def size(self) -> Size:
        return self._emulator.size

    @property
    def base(self) -> int:
        """Number of the first row of the grid."""
        return self.overflow + len(self.history)

    @property
    def alternate(self) -> bool:
        return self._emulator.screen().alternate

    @property
    def cursor(self) -> Cursor:
        screen = self._emulator.screen()
        return Cursor(screen.cursor_col, self.base + screen.cursor_row)

    def close(self) -> None:
        self._emulator.close()

    def feed(self, data: bytes) -> bytes:
        """Take in output; returns what the terminal answers the program."""
        cuts, rest = self._scanner.scan(data)
        replies = b"".join(self._feed_cut(cut) for cut in cuts)
        return replies + self._take(self._emulator.feed(rest))

    def resize(self, size: Size) -> None:
        if size.cols != self.size.cols:
            self.history = deque(wrapped_anew(self.history, size.cols))
        self._take(self._emulator.resize(size))
        self._pull_back()

    def clear_scrollback(self) -> None:
        self.history.clear()

    def clear(self) -> None:
        """Clear the scrollback, and the screen but for the row of the cursor, which goes to the top."""
        screen = self._emulator.screen()
        row = screen.rows[screen.cursor_row].styled
        self._emulator.feed(f"\x1b[H\x1b[2J\x1b[0m{row}\x1b[1;{screen.cursor_col + 1}H".encode())
        self.clear_scrollback()

    def take_marks(self) -> list[Mark]:
        """The marks since the last call."""
        marks, self._marks = self._marks, []
        return marks

    def grid(self) -> list[Row]:
        """The rows on the screen."""
        return [Row(line.styled, line.wrapped) for line in self._emulator.screen().rows]

    def lines(self, first: int, end: int) -> list[Row]:
        """Lines `first` to `end` (exclusive), without those that are lost and those that are not there yet."""
        start, end = max(first, self.overflow), max(end, first)
        rows = list(islice(self.history, start - self.overflow, max(end - self.overflow, 0)))
        return rows + self.grid()[max(start - self.base, 0) : max(end - self.base, 0)]

    def _pull_back(self) -> None:
        """Fill the screen from the history, as a changed size does: rows keep their numbers, the grid begins before."""
        screen = self._emulator.screen()
        written = [at for at, row in enumerate(screen.rows) if row.text]
        free = screen.size.rows - 1 - max(screen.cursor_row, *written, 0)
        count = 0 if screen.alternate else min(free, len(self.history))
        if count > 0:
            rows = [self.history.pop() for _ in range(count)][::-1]
            self._emulator.feed(f"\x1b7\x1b[{count}T\x1b[H{_painted(rows)}\x1b8\x1b[{count}B".encode())

    def _feed_cut(self, cut: Cut) -> bytes:
        replies = self._take(self._emulator.feed(cut.before))
        if cut.escape is Escape.RESET:
            # A reset keeps the history, and puts the screen into it.
            replies += self._take(self._emulator.feed(_SCROLL_SCREEN_OUT))
        replies += self._take(self._emulator.feed(cut.sequence))
        if cut.escape is Escape.CLEAR:
            self.clear_scrollback()
        return replies

    def _take(self, fed: Fed) -> bytes:
        self.history.extend(Row(line.styled, line.wrapped) for line in fed.lines)
        if self._limit is not None and (surplus := len(self.history) - self._limit) > 0:
            for _ in range(surplus):
                self.history.popleft()
            self.overflow += surplus
        for mark in fed.marks:
            # Lines of the emulator and of the buffer differ by the same number all the time.
            y = self.base + mark.at.line - self._emulator.number
            self._marks.append(Mark(mark.kind, mark.parameters, Cursor(mark.at.column, y)))
        return fed.replies


def _painted(rows: list[Row]) -> str:
    """The rows one below the other; a row that goes on is followed by the next at once, so that it still does."""
    ends = ("" if row.wrapped else "\r\n" for row in rows)
    return "".join(f"{row.styled}\x1b[0m{end}" for row, end in zip(rows, ends, strict=True))
