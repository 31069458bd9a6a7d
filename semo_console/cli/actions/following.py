"""What is new in the output of a session, from one reading to the next."""

import re
from dataclasses import dataclass, field

from semo_office.events import SessionOutput

_SGR = re.compile("\x1b\\[[0-9;:]*m")


@dataclass(frozen=True)
class Reading:
    """Rows of a session from number `first_line` on; those before `settled` will not change any more."""

    epoch: int
    first_line: int
    lines: tuple[str, ...]
    settled: int

    @classmethod
    def of(cls, output: SessionOutput) -> "Reading":
        """Rows above the cursor are settled. An alternate screen is a picture, not output: none of it is."""
        rows = output.rows[: max(output.base - output.first, 0)] if output.alternate else output.rows
        settled = output.base + (0 if output.alternate else output.cursor_row)
        return cls(output.epoch, output.first, tuple(_SGR.sub("", row).rstrip(" ") for row in rows), settled)

    @property
    def next_line(self) -> int:
        return self.first_line + len(self.lines)

    def without_blank_end(self) -> "Reading":
        """The same without the rows below the last that holds something."""
        lines = list(self.lines)
        while lines and not lines[-1]:
            lines.pop()
        return Reading(self.epoch, self.first_line, tuple(lines), self.settled)


@dataclass(frozen=True)
class News:
    """Rows that were not told before. `missed`: how many in front of them are no longer kept."""

    epoch: int
    first_line: int
    lines: tuple[str, ...] = ()
    missed: int = 0


@dataclass
class Follower:
    """Tells every settled row once and in order. `next_line` is where the next reading has to begin."""

    epoch: int | None = field(default=None)
    next_line: int = field(default=0)

    def continues(self, reading: Reading) -> bool:
        """Nothing lies between what was told and this reading."""
        return self.epoch == reading.epoch and reading.first_line <= self.next_line

    def take(self, reading: Reading, *, last: bool = False) -> News:
        """The news in a reading; in the `last` one all rows are settled."""
        begins_anew = self.epoch != reading.epoch
        start = reading.first_line if begins_anew else max(self.next_line, reading.first_line)
        missed = 0 if begins_anew else start - self.next_line
        end = max(start, reading.next_line if last else min(reading.settled, reading.next_line))
        self.epoch, self.next_line = reading.epoch, end
        offset = reading.first_line
        return News(reading.epoch, start, reading.lines[start - offset : end - offset], missed)
