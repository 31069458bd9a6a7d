"""Whether somebody's text stands where a prompt is to be typed."""

from collections.abc import Sequence
from dataclasses import dataclass

from semo_agent.emulator.cells import split_at_column
from semo_agent.marks import is_continuation, is_foreign, is_right_prompt
from semo_agent.terminals.base import MarkSeen, Position, Screen


@dataclass(frozen=True, slots=True)
class Composer:
    """Where typed text begins, and where a prompt at the right edge does if there is one."""

    begins: Position
    right_prompt: Position | None = None

    def is_empty(self, screen: Screen) -> bool:
        """The cursor stands where the composer begins, and no typed text follows on its row."""
        if screen.alternate or _cell(cursor_of(screen), screen) != _cell(self.begins, screen):
            return False
        row = screen.rows[screen.cursor_row].text
        before_right_prompt = split_at_column(row, self._right_edge(screen))[0]
        return not split_at_column(before_right_prompt, screen.cursor_col)[1].strip()

    def _right_edge(self, screen: Screen) -> int:
        right = self.right_prompt
        if right is None or right.line != screen.base + screen.cursor_row:
            return screen.size.cols
        return right.column


def find_composer(marks: Sequence[MarkSeen], mark_id: str | None) -> Composer | None:
    """The composer of the last prompt; None: there is no prompt to be seen."""
    right_prompt = None
    for mark in reversed(marks):
        if is_foreign(mark, mark_id):
            continue
        if is_right_prompt(mark):
            right_prompt = mark.at
        elif mark.kind == "B" and not is_continuation(mark):
            return Composer(mark.at, right_prompt)
    return None


def cursor_of(screen: Screen) -> Position:
    """The cursor's place in the output."""
    return Position(screen.epoch, screen.base + screen.cursor_row, screen.cursor_col)


def _cell(place: Position, screen: Screen) -> Position:
    """A prompt that fills its row ends where the next row begins."""
    return Position(place.epoch, place.line + 1) if place.column >= screen.size.cols else place
