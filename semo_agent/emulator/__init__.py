"""The terminal emulator: bytes of a program in; committed lines, marks and the live screen out."""

import json
import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from semo_agent.emulator.escapes import Cut, Escape, EscapeScanner
from semo_agent.emulator.ghostty import GhosttyError, GhosttyTerminal, decode_terminal, new_terminal
from semo_agent.errors import TerminalError
from semo_agent.terminals.base import Line, Position, Screen, Size

PIECE = 8192
"""Bytes fed between two drains: at most so many rows scroll off before they are read."""
SMALLEST, LARGEST = 2, 1000
"""Cells in each direction. A wide character needs two."""
RECENT_MARKS = 64
"""Marks that are remembered, also over a restart."""

_MOST_DRAINED = 16 * 1024

_CANCEL = b"\x18"
_CLEAR_SCROLLBACK = b"\x1b[3J"
_SCROLL_SCREEN_OUT = b"\x1b[22J\x1b[H"
_SNAPSHOT_VERSION = 2
_SGR = re.compile("\x1b\\[[0-9;:]*m")


@dataclass(frozen=True, slots=True)
class Mark:
    """A shell-integration mark: its letter, what follows it, where the stream stood, and its number in the stream."""

    kind: str
    parameters: str
    at: Position
    ordinal: int = 0


@dataclass(slots=True)
class Fed:
    """What output did. `title` is None where it did not change; `replies` go back to the program."""

    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    title: str | None = None
    replies: bytes = b""


class Emulator:
    """One terminal. Rows that scroll off become lines `(epoch, number)`, each exactly once.

    The epoch goes up, and numbers begin again at 0, when numbering can't go on: the program cleared the
    scrollback, or the width changed and rows were wrapped anew. Not safe for use by two threads at once.
    """

    def __init__(self, size: Size, *, epoch: int = 0, number: int = 0, marks_seen: int = 0) -> None:
        """`marks_seen`: ordinals of marks begin after it. Raises `TerminalError` for an impossible size."""
        self._native = GhosttyTerminal(new_terminal(checked(size)))
        self.size = size
        self.epoch = epoch
        self.number = number
        self._drained = 0  # rows of the emulator's own history that are lines already
        self._scanner = EscapeScanner()
        self.marks: deque[Mark] = deque(maxlen=RECENT_MARKS)
        self.marks_seen = marks_seen
        self._moved: dict[Position, Position] = {}
        self._introducer = b""  # the byte after the last ESC: tells which kind of string is open

    def close(self) -> None:
        """Free the native terminal."""
        self._native.close()

    def feed(self, data: bytes) -> Fed:
        """Process output of the program, any piece of it."""
        fed = Fed()
        cuts, rest = self._scanner.scan(data)
        for cut in cuts:
            self._feed_plain(cut.before, fed)
            self._feed_cut(cut, fed)
        self._feed_plain(rest, fed)
        return self._finish(fed)

    def resize(self, size: Size) -> Fed:
        """Change the size; rows that no longer fit become lines, a new width begins an epoch."""
        fed = Fed()
        opened = self._interrupt_sequence()
        self._drain(fed)
        if size.cols == self.size.cols:
            self._native.resize(checked(size))
        else:
            self._rewrap(checked(size))
        self._native.write(opened)
        self.size = size
        self._drain(fed)
        return self._finish(fed)

    def lose(self, count: int) -> Fed:
        """Note that `count` bytes never arrived: the rows so far become lines, and one more line says so."""
        fed = Fed()
        self._native.write(_CANCEL)
        self._scanner = EscapeScanner()
        # There were no more marks than bytes: no ordinal is used twice.
        self.marks_seen += count
        if not self._native.alternate():
            self._native.write(_SCROLL_SCREEN_OUT)
        self._drain(fed)
        notice = f"[{count} bytes of output were lost here]"
        fed.lines.append(Line(self.epoch, self.number, notice, notice))
        self.number += 1
        return self._finish(fed)

    @property
    def bracketed_paste(self) -> bool:
        return self._native.mode(2004)

    @property
    def application_cursor(self) -> bool:
        """DECCKM: arrows are sent as SS3 instead of CSI."""
        return self._native.mode(1)

    def position(self) -> Position:
        """Where the next character goes. Past the last column when the row is full."""
        column, row = self._native.cursor()
        waiting = 0 if self._native.alternate() else self._native.history() - self._drained
        return Position(self.epoch, self.number + waiting + row, column + self._native.wrap_pending())

    def where(self, position: Position) -> Position:
        """Where the place of a recent mark is now, after changes of the width; any other place as it is."""
        while (moved := self._moved.get(position)) is not None:
            position = moved
        return position

    def screen(self) -> Screen:
        """The live screen."""
        rows = self._native.rows("active", 0, self.size.rows)
        column, row = self._native.cursor()
        return Screen(
            epoch=self.epoch,
            base=self.number,
            rows=tuple(line_from(self.epoch, self.number + at, *content) for at, content in enumerate(rows)),
            cursor_row=row,
            cursor_col=column,
            cursor_visible=self._native.mode(25),
            alternate=self._native.alternate(),
            title=self._native.title(),
            bracketed_paste=self.bracketed_paste,
            application_cursor=self.application_cursor,
            size=self.size,
        )

    def snapshot(self) -> bytes:
        """Everything that `restore` needs to go on exactly here, in the middle of a sequence too."""
        try:
            state = self._native.snapshot()
        except GhosttyError:
            self._shorten_open_string()
            state = self._native.snapshot()
        header = {
            "version": _SNAPSHOT_VERSION,
            "size": [self.size.cols, self.size.rows],
            "epoch": self.epoch,
            "number": self.number,
            "drained": self._drained,
            "held": self._scanner.held.decode("latin-1"),
            "introducer": self._introducer.decode("latin-1"),
            "marks": [_packed(mark) for mark in self.marks],
            "marks_seen": self.marks_seen,
        }
        return json.dumps(header).encode() + b"\n" + state

    @classmethod
    def restore(cls, snapshot: bytes) -> "Emulator":
        """A terminal as it was. Raises `TerminalError` when the snapshot is of another version or damaged."""
        head, _, state = snapshot.partition(b"\n")
        try:
            header = json.loads(head)
            if header["version"] != _SNAPSHOT_VERSION:
                raise TerminalError(f"The saved screen has unknown version {header['version']}.")
            emulator = cls.__new__(cls)
            emulator._native = GhosttyTerminal(decode_terminal(state))
            emulator.size = Size(*header["size"])
            emulator.epoch, emulator.number = header["epoch"], header["number"]
            emulator._drained = header["drained"]
            emulator._scanner = EscapeScanner(header["held"].encode("latin-1"))
            emulator._introducer = header["introducer"].encode("latin-1")
            emulator.marks = deque((_unpacked(*mark) for mark in header["marks"]), RECENT_MARKS)
            emulator.marks_seen = header["marks_seen"]
            emulator._moved = {}
        except (ValueError, KeyError, TypeError, GhosttyError) as err:
            raise TerminalError("The saved screen is damaged; it can't be restored.") from err
        return emulator

    def _feed_plain(self, data: bytes, fed: Fed) -> None:
        for at in range(0, len(data), PIECE):
            self._write(data[at : at + PIECE])
            self._drain(fed)

    def _feed_cut(self, cut: Cut, fed: Fed) -> None:
        # What scrolled off has been read before the sequence hides or erases it.
        was_alternate = self._native.alternate()
        self._write(cut.sequence)
        if cut.escape is Escape.MARK:
            self.marks_seen += 1
            mark = _mark(cut.text, self.position(), self.marks_seen)
            self.marks.append(mark)
            fed.marks.append(mark)
        elif cut.escape is Escape.RESET or (cut.escape is Escape.CLEAR and not was_alternate):
            self._drained = 0
            self._begin_epoch()

    def _finish(self, fed: Fed) -> Fed:
        fed.title = self._native.take_title()
        fed.replies = self._native.take_replies()
        return fed

    def _drain(self, fed: Fed) -> None:
        """Turn the rows that scrolled off into lines.

        In the middle of a sequence they are read but not cleared, since clearing is a sequence itself; the
        next drain skips them.
        """
        if self._native.alternate():
            return
        history = self._native.history()
        if history > self._drained:
            for content in self._native.rows("history", self._drained, history - self._drained):
                fed.lines.append(line_from(self.epoch, self.number, *content))
                self.number += 1
        self._drained = history
        if history and (self._native.ground() or history > _MOST_DRAINED):
            opened = self._interrupt_sequence()
            self._native.write(_CLEAR_SCROLLBACK)
            self._native.write(opened)
            self._drained = 0

    def _rewrap(self, size: Size) -> None:
        """Change the width: rows on the screen are wrapped anew, marks among them move with their text."""
        tracked = [] if self._native.alternate() else [self._track(mark) for mark in self.marks]
        self._native.resize(size)
        self._begin_epoch()
        moved = [self._move(mark, ref) for mark, ref in zip(self.marks, tracked, strict=False)]
        self.marks = deque(moved or self.marks, RECENT_MARKS)
        for old in list(self._moved)[: -2 * RECENT_MARKS]:
            del self._moved[old]

    def _track(self, mark: Mark) -> Any:
        """A native reference that follows the cell of a mark on the screen; None for a mark elsewhere."""
        row = mark.at.line - self.number
        if mark.at.epoch != self.epoch or not 0 <= row < self.size.rows:
            return None
        return self._native.track(min(mark.at.column, self.size.cols - 1), row)

    def _move(self, mark: Mark, ref: Any) -> Mark:
        place = self._native.take_tracked(ref) if ref is not None else None
        if place is None:
            return mark
        # The history was empty and the epoch is new: rows above the screen are its lines 0 and on.
        column, line = place
        past_the_end = mark.at.column == self.size.cols
        at = Position(self.epoch, line, column + past_the_end)
        self._moved[mark.at] = at
        return replace(mark, at=at)

    def _begin_epoch(self) -> None:
        self.epoch += 1
        self.number = 0

    def _write(self, data: bytes) -> None:
        self._native.write(data)
        last = data.rfind(b"\x1b")
        if last >= 0:
            self._introducer = data[last + 1 : last + 2]

    def _interrupt_sequence(self) -> bytes:
        """Leave the sequence in progress; returns the bytes that open it again."""
        if self._native.ground():
            return b""
        try:
            opened = self._native.continuation()
        except GhosttyError:
            self._shorten_open_string()
            opened = self._native.continuation()
        self._native.write(_CANCEL)
        return opened

    def _shorten_open_string(self) -> None:
        """Replace a string too long to keep by an empty one that ends at the same place."""
        self._native.write(_CANCEL + (b"\x1b]9999;" if self._introducer == b"]" else b"\x1bX"))


def warm_up() -> None:
    """Go through every native call once: the first time each takes long, which the event loop should not feel."""
    emulator = Emulator(Size(SMALLEST, 2))
    emulator.feed(b"\r\n" * 9 + b"\x1b]133;A\x07\x1b]2;title\x07\x1b[6n\x1b[18t")
    emulator.resize(Size(SMALLEST + 1, 2))
    emulator.screen()
    Emulator.restore(emulator.snapshot()).close()
    emulator.close()


def checked(size: Size) -> Size:
    """The size, if a terminal can have it; else raises `TerminalError`."""
    if not (SMALLEST <= size.cols <= LARGEST and 1 <= size.rows <= LARGEST):
        raise TerminalError(
            f"A terminal of {size.cols}x{size.rows} cells is not possible; "
            f"use {SMALLEST} to {LARGEST} columns and 1 to {LARGEST} rows."
        )
    return size


def plain(styled: str) -> str:
    """Text without its SGR sequences."""
    return _SGR.sub("", styled) if "\x1b" in styled else styled


def line_from(epoch: int, number: int, styled: str, wrapped: bool) -> Line:
    """A row of output from its text with SGR."""
    text = plain(styled)
    # Blanks at the end of a row that goes on are part of its text; elsewhere they are padding.
    return Line(epoch, number, text if wrapped else text.rstrip(" "), styled, wrapped)


def _packed(mark: Mark) -> list[Any]:
    return [mark.kind, mark.parameters, mark.at.epoch, mark.at.line, mark.at.column, mark.ordinal]


def _unpacked(kind: str, parameters: str, epoch: int, line: int, column: int, ordinal: int) -> Mark:
    return Mark(kind, parameters, Position(epoch, line, column), ordinal)


def _mark(text: bytes, at: Position, ordinal: int) -> Mark:
    kind, _, parameters = text.decode("utf-8", "replace").partition(";")
    return Mark(kind, parameters, at, ordinal)
