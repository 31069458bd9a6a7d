"""Whether somebody's text stands where a prompt is to be typed."""

from semo_agent.detector import Sighting
from semo_agent.emulator.cells import split_at_column
from semo_agent.terminals.base import Position, Screen


def composer_is_empty(sighting: Sighting, screen: Screen) -> bool:
    """The cursor stands where the composer begins, and no typed text follows on its row."""
    if sighting.composer is None or screen.alternate or screen.epoch != sighting.composer.epoch:
        return False
    if _cell(cursor_of(screen), screen) != _cell(sighting.composer, screen):
        return False
    row = screen.rows[screen.cursor_row].text
    before_right_prompt = split_at_column(row, _right_edge(sighting, screen))[0]
    return not split_at_column(before_right_prompt, screen.cursor_col)[1].strip()


def cursor_of(screen: Screen) -> Position:
    """The cursor's place in the output."""
    return Position(screen.epoch, screen.base + screen.cursor_row, screen.cursor_col)


def _cell(place: Position, screen: Screen) -> tuple[int, int]:
    """A prompt that fills its row ends where the next row begins."""
    return (place.line + 1, 0) if place.column >= screen.size.cols else (place.line, place.column)


def _right_edge(sighting: Sighting, screen: Screen) -> int:
    right = sighting.right_prompt
    on_this_row = right is not None and right.line == screen.base + screen.cursor_row
    return right.column if right is not None and on_this_row else screen.size.cols
