"""The whole state of the console. It changes only by functions from a state to the next one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from semo_console.state.board import Board
from semo_console.state.cards import BoardCard, Card
from semo_console.state.composer import Composer
from semo_console.state.conditions import Entry
from semo_console.state.effects import Effect
from semo_console.state.panes import Panes
from semo_console.state.receipts import Receipts
from semo_console.state.roster import Roster

NOTICE_FOR = timedelta(seconds=8)


class Mode(Enum):
    """Who gets the keys."""

    NAV = "NAV"
    WRITE = "WRITE"
    CARD = "CARD"
    BOARD = "BOARD"


class Region(Enum):
    """Where moving up and down goes."""

    QUEUE = "queue"
    TREE = "tree"
    PANES = "panes"


@dataclass(frozen=True)
class Connection:
    """How well the office can be reached, and since when."""

    state: str = "connecting"
    since: datetime | None = None


@dataclass(frozen=True)
class Notice:
    """One sentence to the operator."""

    text: str
    at: datetime


@dataclass(frozen=True)
class ConsoleState:
    """Everything that the screen shows but the output of sessions."""

    now: datetime
    roster: Roster = field(default_factory=Roster)
    panes: Panes = field(default_factory=Panes)
    composer: Composer = field(default_factory=Composer)
    receipts: Receipts = field(default_factory=Receipts)
    connection: Connection = field(default_factory=Connection)
    board: Board = field(default_factory=Board)
    region: Region = Region.TREE
    card: Card | None = None
    card_text: str = ""
    going: bool = False
    """`g` was pressed: the next letter is a tag."""
    notice: Notice | None = None
    loaded: bool = False
    """The sessions of all offices are known."""

    @property
    def mode(self) -> Mode:
        if self.card is not None:
            return Mode.BOARD if isinstance(self.card, BoardCard) else Mode.CARD
        return Mode.WRITE if self.composer.writing else Mode.NAV

    @property
    def at_hand(self) -> Entry | None:
        """The session that a key is about: of the focused pane, else the selected one."""
        if self.region is Region.PANES and self.panes.focused is not None:
            session_id = self.panes.panes[self.panes.focused].session_id
            return self.roster.entries.get(session_id) if session_id else None
        return self.roster.at_hand

    def with_roster(self, roster: Roster) -> "ConsoleState":
        """What hangs on the selection goes along with it."""
        if roster.selected == self.roster.selected:
            return replace(self, roster=roster)
        panes, composer = self.panes.follow(roster.selected), self.composer.follow(roster.selected)
        return replace(self, roster=roster, panes=panes, composer=composer)

    def say(self, text: str) -> "ConsoleState":
        return replace(self, notice=Notice(text, self.now))

    def show(self, card: Card, text: str = "") -> "ConsoleState":
        return replace(self, card=card, card_text=text)

    def close_card(self) -> "ConsoleState":
        return replace(self, card=None, card_text="")


Step = tuple[ConsoleState, tuple[Effect, ...]]
Change = Callable[[ConsoleState], Step]
"""Something that happened, as what it makes of the state."""


def only(state: ConsoleState) -> Step:
    """A step that wants nothing done."""
    return state, ()
