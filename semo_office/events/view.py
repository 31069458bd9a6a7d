"""The output of one session as a reader knows it. Pure: no clock, no I/O, bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from semo_office.events.payloads import SessionOutput

MOST_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Applied:
    """What a message changed. `first_changed`: from this row on, None: no row; `gap`: ask for a resync."""

    first_changed: int | None
    gap: bool = False


class OutputView:
    """Rows `first` to `end` (exclusive) of one epoch, the last `most_rows` of them.

    `synced`: the rows are those of the session as of the last message. After a gap the old ones stay to be shown.
    """

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._rows: list[str] = []
        self._instance: UUID | None = None
        self._seq = 0
        self.synced = False
        self.epoch = 0
        self.first = 0
        self.base = 0
        self.cols = 0
        self.screen_rows = 0
        self.cursor: tuple[int, int] | None = None
        self.alternate = False
        self.title = ""
        self.at_ms = 0

    @property
    def end(self) -> int:
        """The number after the last row."""
        return self.first + len(self._rows)

    def rows(self) -> Sequence[str]:
        """All rows, oldest first: row i has the number `first + i`. They change with the next message."""
        return self._rows

    def at(self, number: int) -> str | None:
        """One row; None: it is not known here."""
        return self._rows[number - self.first] if self.first <= number < self.end else None

    def apply(self, output: SessionOutput) -> Applied:
        """Take in the next message of this session."""
        if output.instance == self._instance and output.seq <= self._seq:
            return Applied(None)
        keeps = self._keeps_before(output)
        self._instance, self._seq = output.instance, output.seq
        if keeps is None:
            self.synced = False
            return Applied(None, gap=True)
        self.synced = True
        return Applied(self._replace(output, keeps))

    def _keeps_before(self, output: SessionOutput) -> bool | None:
        """Whether the rows known before the message's first go on to be true. None: it can't be understood."""
        same_run = output.instance == self._instance and output.epoch == self.epoch
        if same_run and self.synced and output.seq == self._seq + 1 and self.first <= output.first <= self.end:
            return True
        if not output.stands_alone:
            return None
        # What had left the screen before the gap does not change any more; what was on it may have.
        return same_run and self.first <= output.first <= min(self.base, self.end)

    def _replace(self, output: SessionOutput, keeps: bool) -> int | None:
        known = output.first - self.first if keeps else 0
        changed = _first_difference(self._rows, known, output.rows) if keeps else 0
        if not keeps:
            self.first = output.first
        first_changed = None if changed is None else self.first + changed
        self._rows[known:] = output.rows
        self._take_facts(output)
        self._forget_oldest()
        return None if first_changed is None else max(first_changed, self.first)

    def _take_facts(self, output: SessionOutput) -> None:
        self.epoch, self.base = output.epoch, output.base
        self.cols, self.screen_rows = output.cols, output.screen_rows
        self.cursor, self.alternate, self.title = output.cursor, output.alternate, output.title
        self.at_ms = output.at_ms

    def _forget_oldest(self) -> None:
        surplus = len(self._rows) - self._most_rows
        if surplus > 0:
            del self._rows[:surplus]
            self.first += surplus


def _first_difference(rows: Sequence[str], known: int, new: Sequence[str]) -> int | None:
    """The first index at which `rows` changes when all from `known` on is replaced; None: nowhere."""
    for at, row in enumerate(new):
        if known + at >= len(rows) or rows[known + at] != row:
            return known + at
    return None if known + len(new) == len(rows) else known + len(new)
