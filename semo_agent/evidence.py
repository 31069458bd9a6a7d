"""What is seen of a session beside the events of its terminal."""

from dataclasses import dataclass

from semo_agent.profiles.hooks import FailureKind, Meaning
from semo_agent.terminals.base import Position, TerminalEvent


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the CLI itself says that a turn failed."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class HookSeen:
    """An event that the session's own program reported by a hook.

    `ordinal` grows with every event of the session and is the same when the event is read again: the time of the
    event in ns of the machine's monotonic clock. `pid` is the program's. `question`, `message` and `failure`: where it
    carries them.
    """

    name: str
    means: Meaning
    ordinal: int
    pid: int = 0
    question: str | None = None
    message: str | None = None
    failure: Failure | None = None

    @property
    def at(self) -> float:
        """When, in s of the monotonic clock."""
        return self.ordinal / 1e9


@dataclass(frozen=True, slots=True)
class ComposerSeen:
    """The live screen shows that the program can be typed to. `at`: where its cursor stands."""

    at: Position


@dataclass(frozen=True, slots=True)
class DialogSeen:
    """The live screen shows a question that no hook tells."""

    question: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody's answer to a question was typed."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The turn was stopped by a key: no hook tells that, the screen does."""


Evidence = TerminalEvent | HookSeen | ComposerSeen | DialogSeen | Answered | Interrupted
