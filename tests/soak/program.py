"""A program that takes prompts like a shell with OSC 133 marks: a pure function of what it read, and when."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

BEGIN, END = b"\x1b[200~", b"\x1b[201~"
CTRL_C: Final = b"\x03"
EPOCH: Final = 0
PROMPT_COLUMN: Final = 2
_WORK: Final = re.compile(r"work=([0-9.]+)")
_TOKENS: Final = re.compile(rb"\x1b\[20[01]~|\r|\x03|[^\x1b\r\x03]+|\x1b")


@dataclass(frozen=True, slots=True)
class Emitted:
    """A mark that the program sends at a time (s, monotonic): its letter, parameters and line."""

    at: float
    kind: str
    parameters: str
    line: int
    column: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """A text that Enter sent off. `pasted`: it came as a paste."""

    text: str
    pasted: bool


@dataclass(slots=True)
class Program:
    """The program after what it read so far."""

    marks: list[Emitted] = field(default_factory=list)
    submitted: list[Submitted] = field(default_factory=list)
    composer: bytes = b""
    busy_until: float = 0.0
    line: int = 0
    forgotten: int = 0
    """Ordinal of the last mark that is not kept any more."""
    _pasting: bool = False
    _pasted: bool = False

    def begin(self, at: float) -> None:
        self._prompt(at)

    def read(self, at: float, data: bytes) -> None:
        """Take input, in pieces as it comes; a marker is never cut in two."""
        for token in _TOKENS.findall(data):
            self._take(at, token)

    def is_busy(self, now: float) -> bool:
        return now < self.busy_until

    def due(self, now: float, after: int = 0) -> list[Emitted]:
        """The marks sent until now, those up to the ordinal `after` left out."""
        return self.marks[self._index_after(after) : bisect_right(self.marks, now, key=lambda mark: mark.at)]

    def next_due(self, after: int) -> float | None:
        """When the next mark after an ordinal is sent."""
        return next((mark.at for mark in self.marks[self._index_after(after) :]), None)

    @property
    def last_ordinal(self) -> int:
        return self.forgotten + len(self.marks)

    def forget(self, up_to: int) -> None:
        """Keep neither the marks up to an ordinal nor the texts: the program lives long."""
        del self.marks[: self._index_after(up_to)]
        self.forgotten = max(self.forgotten, up_to)
        self.submitted.clear()

    def _index_after(self, ordinal: int) -> int:
        return max(ordinal - self.forgotten, 0)

    def _take(self, at: float, token: bytes) -> None:
        if token in (BEGIN, END):
            self._pasting = token == BEGIN
            self._pasted = self._pasted or self._pasting
        elif token == CTRL_C and not self._pasting:
            self._interrupt(at)
        elif token == b"\r" and not self._pasting:
            self._submit(at)
        else:
            self.composer += token

    def _submit(self, at: float) -> None:
        text = self.composer.decode("utf-8", "replace")
        pasted = self._pasted
        self.composer, self._pasted = b"", False
        if text:
            self.submitted.append(Submitted(text, pasted))
        if self.is_busy(at):
            # An answer, read by the turn that runs.
            return
        if not text:
            self._prompt(at)
            return
        work = _WORK.search(text)
        self.busy_until = at + (float(work[1]) if work else 0.0)
        self._emit(at, "C", line=self.line + 1)
        self._end_turn(self.busy_until, 0)

    def _interrupt(self, at: float) -> None:
        self.composer, self._pasted = b"", False
        if self.is_busy(at):
            # What it would have sent later is not sent.
            self.marks = self.due(at, self.forgotten)
            self.line = self.marks[-1].line - 1
            self.busy_until = at
            self._end_turn(at, 130)
        else:
            self._prompt(at)

    def _end_turn(self, at: float, status: int) -> None:
        self._emit(at, "D", str(status), line=self.line + 2)
        self.line += 2
        self._prompt(at)

    def _prompt(self, at: float) -> None:
        self.line += 1
        self._emit(at, "A")
        self._emit(at, "B", column=PROMPT_COLUMN)

    def _emit(self, at: float, kind: str, parameters: str = "", *, line: int | None = None, column: int = 0) -> None:
        ordinal = self.last_ordinal + 1
        where = self.line if line is None else line
        self.marks.append(Emitted(at, kind, parameters, where, column, ordinal))
