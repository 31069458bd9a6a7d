"""Where something is typed: the composer, and the field of a card. Keys that are commands go to the console first."""

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.widgets import Input, TextArea

PressKey = Callable[[str], bool]
"""Does what a key means; whether it means anything."""

TALLEST = 6


def key_of(event: events.Key) -> str:
    """The character of a key that has one, else its name."""
    return event.character if event.is_printable and event.character else event.key


class Composer(TextArea):
    """What is being written. All keys that are no command of WRITE edit the text."""

    class Clicked(Message):
        """Somebody wants to write."""

    def __init__(self, press: PressKey) -> None:
        super().__init__(id="composer", compact=True, soft_wrap=True, highlight_cursor_line=False)
        self._press = press
        self.can_focus = False
        self.cursor_blink = False

    async def _on_key(self, event: events.Key) -> None:
        if self._press(key_of(event)):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    async def _on_mouse_down(self, event: events.MouseDown) -> None:
        if self.can_focus:
            await super()._on_mouse_down(event)
        else:
            self.post_message(self.Clicked())

    def put(self, text: str) -> None:
        """Another draft, with the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    @property
    def wanted_height(self) -> int:
        return min(max(self.wrapped_document.height, 1), TALLEST)


class Field(Input):
    """The one line that is typed on a card."""

    def __init__(self, press: PressKey) -> None:
        super().__init__(id="card-field", compact=True, select_on_focus=False)
        self._press = press
        self.can_focus = False
        self.cursor_blink = False

    async def _on_key(self, event: events.Key) -> None:
        if self._press(key_of(event)):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)
