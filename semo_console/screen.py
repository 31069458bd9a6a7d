"""The one screen of the console: puts the state into widgets, and passes on what is pressed."""

from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from semo_console.commands.guide import FindOutput, describe_card, footer, is_typed_in
from semo_console.commands.keymap import Keymap
from semo_console.state import board_lines, view
from semo_console.state.console import ConsoleState, Mode, Region
from semo_console.state.lines import Line
from semo_console.state.panes import Extent
from semo_console.widgets.fields import Composer, Field, PressKey, key_of
from semo_console.widgets.lines import Lines
from semo_console.widgets.pane import OutputPane

WIDE, NARROW = (100, 30), (60, 18)
"""Columns and rows from which on a layout is used."""
QUEUE_ROWS = {"wide": 8, "narrow": 4, "tiny": 100}
PANE_COUNT = 4


class MainScreen(Screen[None], inherit_bindings=False):
    """Everything at once. `press` is asked about every key before anything else is."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    MainScreen { layers: base above; align: center middle; layout: vertical; overflow: hidden; }
    MainScreen * { scrollbar-size: 0 0; }
    #header, #bottom, #footer { height: 1; }
    #body { height: 1fr; layout: horizontal; }
    #side { width: 42; height: 1fr; }
    #panes { width: 1fr; height: 1fr; layout: grid; grid-size: 1 1; }
    #tree { height: 1fr; }
    #dock { height: 5; }
    .box, .pane { border: ascii ansi_bright_black; }
    .here { border: ascii ansi_cyan; }
    .pane { height: 1fr; }
    #composer, #card-field { height: 1; background: ansi_default; color: ansi_default; padding: 0; border: none; }
    #write { height: auto; }
    #card { layer: above; width: 90%; max-width: 100; height: auto; background: ansi_default;
            border: ascii ansi_yellow; }
    #card-lines { height: auto; }
    MainScreen.narrow #body, MainScreen.tiny #body { layout: vertical; }
    MainScreen.narrow #side, MainScreen.tiny #side { width: 100%; }
    MainScreen.narrow .box, MainScreen.narrow .pane, MainScreen.tiny .box, MainScreen.tiny .pane {
        border: none; border-top: ascii ansi_bright_black; }
    MainScreen.narrow .here { border-top: ascii ansi_cyan; }
    MainScreen.narrow #dock { height: 1; border: none; }
    MainScreen.narrow #side { height: 3fr; }
    MainScreen.narrow #panes { height: 2fr; }
    MainScreen.tiny #dock, MainScreen.tiny #panes, MainScreen.tiny #bottom { display: none; }
    MainScreen.tiny #write { display: none; }
    MainScreen.tiny.writing #write { display: block; }
    MainScreen.zoomed #side { display: none; }
    MainScreen.tiny #card { width: 100%; }
    """

    class Changed(Message):
        """The screen has another size."""

    BINDINGS: ClassVar = []

    def __init__(self, keymap: Keymap, press: PressKey, paste: Callable[[str], None], find_output: FindOutput) -> None:
        super().__init__()
        self.keymap = keymap
        self._press = press
        self._paste = paste
        self._find_output = find_output
        self.composer = Composer(press)
        self.field = Field(press)
        self.panes = [OutputPane(index) for index in range(PANE_COUNT)]
        self._parts = {name: Lines(id=name) for name in ("header", "queue", "tree", "dock", "bottom", "footer")}
        self._card_lines = Lines(id="card-lines")
        self._body, self._side = Container(id="body"), Vertical(id="side")
        self._holder = Container(*self.panes, id="panes")
        self._write = Vertical(self.composer, id="write", classes="box")
        self._card = Vertical(self._card_lines, self.field, id="card")
        self._composed = False
        self._written_to: UUID | None = None
        self._layout = "wide"

    def compose(self) -> ComposeResult:
        parts = self._parts
        for name in ("queue", "tree", "dock"):
            parts[name].add_class("box")
        yield parts["header"]
        with self._body:
            with self._side:
                yield parts["queue"]
                yield parts["tree"]
                yield parts["dock"]
            yield self._holder
        yield self._write
        yield parts["bottom"]
        yield parts["footer"]
        yield self._card

    def on_mount(self) -> None:
        self._composed = True

    # What is typed

    def on_key(self, event: events.Key) -> None:
        if self._press(key_of(event)):
            event.stop()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._paste(event.text)

    def written(self, state: ConsoleState) -> str | None:
        """What stands in the composer; None: it is not the one of the state's target."""
        return self.composer.text if state.composer.writing and self._written_to == state.composer.target else None

    def break_line(self) -> None:
        self.composer.insert("\n")

    def scroll_card(self, rows: int) -> None:
        self._card_lines.scroll_lines(rows)

    def extent(self, state: ConsoleState) -> Extent:
        return self.panes[state.panes.scrolling].extent

    # What is shown

    def show(self, state: ConsoleState) -> None:
        """Show this state from now on."""
        if not self._composed:
            return
        self._lay_out(state)
        self._show_lines(state)
        self._show_panes(state)
        self._show_composer(state)
        self._show_card(state)
        self._give_keys(state)

    @on(events.Resize)
    def _choose_layout(self, event: events.Resize) -> None:
        width, height = event.size
        fits = [
            name
            for name, (columns, rows) in (("wide", WIDE), ("narrow", NARROW))
            if width >= columns and height >= rows
        ]
        self._layout = (fits or ["tiny"])[0]
        self.post_message(self.Changed())

    def _lay_out(self, state: ConsoleState) -> None:
        for name in ("wide", "narrow", "tiny"):
            self.set_class(self._layout == name, name)
        self.set_class(state.panes.zoomed and self._layout != "tiny", "zoomed")
        self.set_class(state.composer.writing, "writing")
        waiting = min(len(state.roster.queue), QUEUE_ROWS[self._layout])
        queue, tree = self._parts["queue"], self._parts["tree"]
        queue.display = bool(waiting)
        queue.styles.height = waiting + (2 if self._layout == "wide" else 1) if self._layout != "tiny" else "1fr"
        tree.display = self._layout != "tiny" or not waiting
        queue.set_class(state.region is Region.QUEUE, "here")
        tree.set_class(state.region is Region.TREE, "here")

    def _show_lines(self, state: ConsoleState) -> None:
        roster, parts = state.roster, self._parts
        shown = f"  filter {roster.filter}" if roster.filter else ""
        _entitle(parts["queue"], f"NEEDS YOU {len(roster.queue)}", "w next . a answer")
        _entitle(parts["tree"], f"SESSIONS {len(roster.listed())}{shown}", "n new . / find")
        _entitle(parts["dock"], "POOL BREAKERS JOBS" if self._layout == "wide" else "", "} more")
        makers: dict[str, Callable[[ConsoleState, int], list[Line]]] = {
            "header": lambda state, width: [view.header(state, width)],
            "queue": view.queue,
            "tree": view.tree,
            "dock": board_lines.dock if self._layout == "wide" else _dock_in_one,
            "bottom": lambda state, width: [view.bottom_line(state, width)],
            "footer": lambda state, width: [footer(state, self.keymap, width)],
        }
        for name, make in makers.items():
            parts[name].show(make(state, parts[name].size.width))

    def _show_panes(self, state: ConsoleState) -> None:
        panes = state.panes
        count = len(panes.panes)
        zoomed = panes.zoomed or self._layout != "wide"
        holder = self._holder
        across = 1 if zoomed or count < 4 else 2
        holder.styles.grid_size_columns, holder.styles.grid_size_rows = across, 1 if zoomed else -(-count // across)
        for index, widget in enumerate(self.panes):
            widget.display = index == panes.scrolling if zoomed else index < count
            if widget.display:
                self._show_pane(state, index)

    def _show_pane(self, state: ConsoleState, index: int) -> None:
        widget, pane = self.panes[index], state.panes.panes[index]
        output = self._find_output(pane.session_id) if pane.session_id else None
        widget.set_class(state.region is Region.PANES and state.panes.focused == index, "here")
        _entitle(widget, view.pane_title(state, index), "G live" if pane.top is not None else "")
        widget.show(output, pane.top, "" if pane.session_id is None else " (no output yet)")

    def show_output(self, index: int, state: ConsoleState, first_changed: int) -> None:
        """Rows of what a pane shows are others now."""
        if self.panes[index].display:
            self.panes[index].refresh_rows(first_changed)

    def _show_composer(self, state: ConsoleState) -> None:
        composer = state.composer
        if self._written_to != composer.target or self.composer.text != composer.text:
            self._written_to = composer.target
            self.composer.put(composer.text)
        self.composer.styles.height = self.composer.wanted_height
        box = self._write
        box.set_class(composer.writing, "here")
        _entitle(box, view.composer_title(state), view.composer_hint(state))

    def _show_card(self, state: ConsoleState) -> None:
        card = self._card
        card.display = state.card is not None
        if state.card is None:
            return
        text = describe_card(state, self.keymap, self._find_output, self._card_lines.size.width or self.size.width)
        _entitle(card, text.title, text.hint)
        self.field.display = text.asks is not None
        self.field.placeholder = text.asks or ""
        if self.field.value != state.card_text:
            self.field.value = state.card_text
            self.field.cursor_position = len(state.card_text)
        most = max(self.size.height - (6 if self._layout != "tiny" else 3), 1)
        self._card_lines.styles.height = min(len(text.lines), most)
        self._card_lines.show(text.lines)

    def _give_keys(self, state: ConsoleState) -> None:
        """Who gets the keys follows from the state, never from where a mouse was pressed."""
        typing = {
            self.composer: state.mode is Mode.WRITE,
            self.field: state.mode is Mode.CARD and is_typed_in(state.card),
        }
        for widget, wanted in typing.items():
            widget.can_focus = wanted
            if wanted and self.focused is not widget:
                self.set_focus(widget)
        if not any(typing.values()) and self.focused is not None:
            self.set_focus(None)


def _dock_in_one(state: ConsoleState, width: int) -> list[Line]:
    return [board_lines.dock_in_one(state, width)]


def _entitle(widget: Widget, title: str, hint: str) -> None:
    """Title above, hint below; what is in them is text, not markup: as a string, `[QA]` would be a style."""
    above, below = Content(title.strip()), Content(hint.strip())
    if widget.border_title != above.markup:
        widget.border_title = above
    if widget.border_subtitle != below.markup:
        widget.border_subtitle = below
