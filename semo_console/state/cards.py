"""What can lie over the screen: a question to the operator, or something to read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from semo_console.state.board import Tab


@dataclass(frozen=True)
class AnswerCard:
    """An answer to what a session asks. `asked_as_of`: which question; another one is not answered by it."""

    session_id: UUID
    asked_as_of: datetime


@dataclass(frozen=True)
class EndCard:
    """Whether a session is to end. `type_tag`: it has something to lose, so its tag has to be typed."""

    session_id: UUID
    type_tag: bool


@dataclass(frozen=True)
class NewCard:
    """Role, and perhaps profile, of a new session in an office."""

    office_id: UUID
    role: str


@dataclass(frozen=True)
class WhyCard:
    """What the state of a session rests on."""

    session_id: UUID


@dataclass(frozen=True)
class HelpCard:
    """All keys."""


@dataclass(frozen=True)
class PaletteCard:
    """All commands, by name."""

    chosen: int = 0


@dataclass(frozen=True)
class FilterCard:
    """Which sessions are listed. `before`: the filter to go back to."""

    before: str


@dataclass(frozen=True)
class BoardCard:
    """A page of the board: pool, breakers or jobs. `chosen`: a key of what stands on it, None: the first."""

    tab: Tab
    chosen: str | None = None


Card = AnswerCard | EndCard | NewCard | WhyCard | HelpCard | PaletteCard | FilterCard | BoardCard
