"""A window on the output of a session."""

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from semo_console.state.output import Output, extent_of
from semo_console.state.panes import Extent
from semo_console.widgets.looks import CHOSEN
from semo_console.widgets.sgr import strip_of_row

WHEEL_ROWS = 3


class OutputPane(Widget):
    """Rows of an output, from `top` on, or its end while `top` is None. Only rows that changed are drawn again."""

    class Scrolled(Message):
        """The wheel was turned: so many rows."""

        def __init__(self, index: int, rows: int) -> None:
            self.index, self.rows = index, rows
            super().__init__()

    class Focused(Message):
        """The pane was clicked."""

        def __init__(self, index: int) -> None:
            self.index = index
            super().__init__()

    def __init__(self, index: int) -> None:
        super().__init__(id=f"pane-{index + 1}", classes="pane")
        self.index = index
        self._output: Output | None = None
        self._wanted: int | None = None
        self._instead = ""
        self._drawn = Extent(0, 0, 1)
        self._drawn_top = 0
        self._cursor: int | None = None

    @property
    def extent(self) -> Extent:
        return extent_of(self._output, max(self.size.height, 1))

    def show(self, output: Output | None, top: int | None, instead: str = "") -> None:
        """Show another output, or another place of it; `instead`: what to say while there is none."""
        same = output is self._output and instead == self._instead
        self._output, self._wanted, self._instead = output, top, instead
        if not same or self._has_moved():
            self._draw_all()

    def refresh_rows(self, first_changed: int) -> None:
        """The rows of the output from this number on are others now."""
        if self._has_moved():
            self._draw_all()
            return
        self._drawn = self.extent
        first = max(first_changed - self._drawn_top, 0)
        if first < self.size.height:
            self.refresh(Region(0, first, self.size.width, self.size.height - first))
        self._move_cursor()

    def _has_moved(self) -> bool:
        return self.extent.top_of(self._wanted) != self._drawn_top

    def _draw_all(self) -> None:
        self._drawn = self.extent
        self._drawn_top = self._drawn.top_of(self._wanted)
        self._cursor = self._cursor_row()
        self.refresh()

    def _move_cursor(self) -> None:
        for row in {self._cursor, self._cursor_row()}:
            if row is not None and 0 <= row - self._drawn_top < self.size.height:
                self.refresh(Region(0, row - self._drawn_top, self.size.width, 1))
        self._cursor = self._cursor_row()

    def _cursor_row(self) -> int | None:
        output = self._output
        return output.base + output.cursor[0] if output is not None and output.cursor else None

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._output is None:
            return strip_of_row(self._instead if y == 0 else "", width)
        number = self._drawn_top + y
        row = self._output.at(number) if number < self._drawn.end else None
        strip = strip_of_row(row or "", width)
        return self._with_cursor(strip) if number == self._cursor_row() else strip

    def _with_cursor(self, strip: Strip) -> Strip:
        column = self._output.cursor[1] if self._output is not None and self._output.cursor else 0
        if column >= strip.cell_length:
            return strip
        # A wide character is marked as a whole.
        end = column + (2 if len(strip.crop(column, column + 2).text) == 1 else 1)
        cell = strip.crop(column, end).apply_style(CHOSEN)
        return Strip.join([strip.crop(0, column), cell, strip.crop(end)])

    def on_resize(self, _: events.Resize) -> None:
        self._draw_all()

    def on_click(self, _: events.Click) -> None:
        self.post_message(self.Focused(self.index))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Scrolled(self.index, WHEEL_ROWS))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Scrolled(self.index, -WHEEL_ROWS))
