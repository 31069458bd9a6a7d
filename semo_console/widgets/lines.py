"""A part of the screen made of lines that are given to it."""

from collections.abc import Sequence
from uuid import UUID

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from semo_console.state.lines import Line
from semo_console.widgets.looks import strip_of


class Lines(Widget):
    """Shows lines; of more than fit, those around the chosen one. Only what changed is drawn again."""

    class Picked(Message):
        """A line that stands for a session was clicked."""

        def __init__(self, session_id: UUID) -> None:
            self.session_id = session_id
            super().__init__()

    class Resized(Message):
        """There is another number of columns to fill."""

    def __init__(self, *, id: str) -> None:  # noqa: A002  # Textual's own name for it
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._top = 0

    @property
    def lines(self) -> tuple[Line, ...]:
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines from now on."""
        before, self._lines = self._lines, tuple(lines)
        top = self._top_for(before)
        if top != self._top or len(before) != len(self._lines):
            self._top = top
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, index - self._top, self.size.width, 1))

    def scroll_lines(self, rows: int) -> None:
        """So many rows down, up when negative."""
        most = max(len(self._lines) - max(self.size.height, 1), 0)
        self._top = min(max(self._top + rows, 0), most)
        self.refresh()

    def _top_for(self, before: Sequence[Line]) -> int:
        """What is chosen stays where it is on the screen, also when rows come and go above it."""
        height = max(self.size.height, 1)
        chosen = _chosen(self._lines)
        if chosen is None:
            return min(self._top, max(len(self._lines) - height, 0))
        was = _chosen(before)
        same = was is not None and before[was].key == self._lines[chosen].key
        top = self._top + (chosen - was if same and was is not None else 0)
        top = min(max(top, chosen - height + 1), chosen)
        return max(min(top, len(self._lines) - height), 0)

    def render_line(self, y: int) -> Strip:
        index = y + self._top
        width = self.size.width
        return strip_of(self._lines[index], width) if index < len(self._lines) else Strip.blank(width)

    def on_resize(self, _: events.Resize) -> None:
        self._top = self._top_for(self._lines)
        # It may have been drawn at the new size already, from the old top.
        self.refresh()
        self.post_message(self.Resized())

    def on_click(self, event: events.Click) -> None:
        index = event.y + self._top
        if index < len(self._lines) and (key := self._lines[index].key) is not None:
            self.post_message(self.Picked(UUID(key)))


def _chosen(lines: Sequence[Line]) -> int | None:
    return next((index for index, each in enumerate(lines) if each.chosen), None)
