"""The console: keys become steps of the state, the state becomes the screen, and what it wants done is passed on."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import ClassVar, Protocol
from uuid import UUID

from textual import on
from textual.app import App
from textual.message import Message

from semo_console.commands.guide import palette
from semo_console.commands.jamo import key_under
from semo_console.commands.keymap import Keymap
from semo_console.commands.registry import Command
from semo_console.screen import MainScreen
from semo_console.state import actions, news
from semo_console.state.actions import Circumstances
from semo_console.state.cards import PaletteCard
from semo_console.state.console import Change, ConsoleState, Mode
from semo_console.state.effects import Effect, Leave, Order
from semo_console.state.memory import Memory, remember
from semo_console.state.output import Output
from semo_console.widgets.fields import Composer
from semo_console.widgets.lines import Lines
from semo_console.widgets.pane import OutputPane

TICK_S = 1.0

_NOT_YET = "The office is not connected yet; try again in a moment."


class Wire(Protocol):
    """The way to the office. Nothing of it blocks; what comes of an effect is told as a change of the state."""

    def perform(self, effect: Effect) -> None: ...

    def watch(self, session_ids: tuple[UUID, ...]) -> None:
        """These sessions are on the screen: their output is wanted."""

    def find_output(self, session_id: UUID) -> Output | None: ...


class Told(Message):
    """The office has news."""

    def __init__(self, change: Change) -> None:
        self.change = change
        super().__init__()


class OutputChanged(Message):
    """Rows of a session, from this number on, are others now."""

    def __init__(self, session_id: UUID, first_changed: int) -> None:
        self.session_id, self.first_changed = session_id, first_changed
        super().__init__()


class ConsoleApp(App[None], inherit_bindings=False):
    """`keep` writes down what is remembered, and blocks; `now` and `new_id` are clock and chance."""

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar = []

    def __init__(
        self,
        state: ConsoleState,
        keymap: Keymap,
        *,
        keep: Callable[[Memory], None],
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.state = state
        self.keymap = keymap
        self.painted = asyncio.Event()
        self._keep = keep
        self._now = now
        self._new_id = new_id
        self._wire: Wire | None = None
        self._kept = remember(state)
        self._watched: tuple[UUID, ...] = ()
        self._own_keys: Mapping[str, Callable[[], None]] = {
            "write.send": lambda: self.apply(lambda state: actions.send(state, self._around())),
            "write.newline": lambda: self._main.break_line(),
            "write.leave": lambda: self.apply(actions.leave_writing),
            "card.submit": self._submit_card,
            "card.close": lambda: self.apply(actions.close_card),
            "card.down": lambda: self._move_in_card(1),
            "card.up": lambda: self._move_in_card(-1),
        }
        self._main = MainScreen(keymap, self.press, self._paste, self.find_output)

    def get_default_screen(self) -> MainScreen:
        return self._main

    def connect(self, wire: Wire) -> None:
        """From now on the office can be reached."""
        self._wire = wire
        wire.watch(self._watched)

    def find_output(self, session_id: UUID) -> Output | None:
        return self._wire.find_output(session_id) if self._wire else None

    def tell(self, change: Change) -> None:
        """News of the office, in the order that they are told."""
        self.post_message(Told(change))

    def tell_output(self, session_id: UUID, first_changed: int) -> None:
        """Rows of a session, from this number on, are others now."""
        self.post_message(OutputChanged(session_id, first_changed))

    # Steps of the state

    def apply(self, change: Change) -> None:
        """One step, what it shows, and what it wants done. What was typed until now belongs to the state before."""
        before = self._with_what_was_typed(self.state)
        self.state, effects = change(before)
        self._main.show(self.state)
        self._watch_what_is_shown()
        for effect in effects:
            self._perform(effect)

    def _with_what_was_typed(self, state: ConsoleState) -> ConsoleState:
        text = self._main.written(state)
        if text is not None and text != state.composer.text:
            state, _ = actions.edit(state, text)
        if state.mode is Mode.CARD and self._main.field.display and self._main.field.value != state.card_text:
            state, _ = actions.edit_card(state, self._main.field.value)
        return state

    def _watch_what_is_shown(self) -> None:
        if (shown := self.state.panes.shown) != self._watched:
            self._watched = shown
            if self._wire is not None:
                self._wire.watch(shown)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Leave):
            self.exit()
        elif self._wire is not None:
            self._wire.perform(effect)
        elif isinstance(effect, Order):
            self.apply(partial(news.refuse, command_id=effect.command_id, sentence=_NOT_YET))
        else:
            self.apply(partial(news.tell, sentence=_NOT_YET))

    # Keys

    def press(self, key: str) -> bool:
        """Do what a key means now; whether it means anything."""
        mode = self.state.mode
        if mode is Mode.NAV and self.state.going:
            self.apply(partial(actions.go_to_tag, tag=key_under(key)))
            return True
        command = self.keymap.find(mode, key)
        if command is not None:
            self.run_command(command)
        return command is not None

    def run_command(self, command: Command) -> None:
        action = command.action
        if action is None:
            self._own_keys[command.id]()
        else:
            self.apply(lambda state: action(state, self._around()))

    def _around(self) -> Circumstances:
        return Circumstances(self._new_id, self._main.extent(self.state))

    def _paste(self, text: str) -> None:
        if self.state.mode is Mode.NAV:
            self.apply(partial(actions.paste, text=text))

    def _submit_card(self) -> None:
        if not isinstance(self.state.card, PaletteCard):
            self.apply(lambda state: actions.submit_card(state, self._around()))
            return
        chosen, found = self.state.card.chosen, palette(self._main.field.value)
        self.apply(actions.close_card)
        if chosen < len(found):
            self.run_command(found[chosen])

    def _move_in_card(self, by: int) -> None:
        if isinstance(self.state.card, PaletteCard):
            self.apply(lambda state: actions.choose(state, by, len(palette(state.card_text))))
        else:
            self._main.scroll_card(by)

    @property
    def failure(self) -> Exception | None:
        """What ended it, if it was not the operator."""
        return self._exception

    def _fatal_error(self) -> None:
        # Textual would print the values of all variables, and drafts are among them.
        self._close_messages_no_wait()

    # What happens

    def on_mount(self) -> None:
        self.apply(lambda state: (state, ()))
        self.set_interval(TICK_S, self._tick, name="clock")

    def on_ready(self) -> None:
        self.painted.set()

    @on(Told)
    def _take_in(self, message: Told) -> None:
        self.apply(message.change)

    @on(OutputChanged)
    def _show_output(self, message: OutputChanged) -> None:
        for index, pane in enumerate(self.state.panes.panes):
            if pane.session_id == message.session_id:
                self._main.show_output(index, self.state, message.first_changed)

    @on(MainScreen.Changed)
    @on(Lines.Resized)
    @on(Composer.Changed)
    def _show_again(self) -> None:
        self.apply(lambda state: (state, ()))

    @on(Lines.Picked)
    def _pick(self, message: Lines.Picked) -> None:
        self.apply(partial(actions.pick, session_id=message.session_id))

    @on(Composer.Clicked)
    def _write(self) -> None:
        self.apply(lambda state: actions.write(state, self._around()))

    @on(OutputPane.Focused)
    def _focus_pane(self, message: OutputPane.Focused) -> None:
        self.apply(lambda state: actions.focus_pane(message.index)(state, self._around()))

    @on(OutputPane.Scrolled)
    def _scroll_pane(self, message: OutputPane.Scrolled) -> None:
        self.apply(lambda state: actions.focus_pane(message.index)(state, self._around()))
        self.apply(lambda state: actions.scroll(lambda _: message.rows)(state, self._around()))

    async def _tick(self) -> None:
        self.apply(partial(news.tick, now=self._now()))
        if (memory := remember(self.state)) != self._kept:
            self._kept = memory
            await asyncio.to_thread(self._keep, memory)
