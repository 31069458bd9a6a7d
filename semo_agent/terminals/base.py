"""The contract of every terminal: PTY, tmux, iTerm2. One conformance suite holds for all of them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Size:
    """Cells of a terminal."""

    cols: int = 120
    rows: int = 40


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """What to run in a new tab."""

    tag: str
    """Our session id; a tab is adopted by it after a restart of the agent."""
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    """The complete environment of the program: nothing is inherited from the agent."""
    size: Size = field(default_factory=Size)


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a program ended: exit code, or signal that killed it; `reason` where the terminal itself died."""

    code: int | None = None
    signal: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TabInfo:
    """One tab as the terminal knows it."""

    tab_id: str
    tag: str
    pid: int
    size: Size
    exit: ExitStatus | None = None


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the output: committed lines before it in this epoch, plus the row on the live screen."""

    epoch: int
    line: int
    column: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One row of output. `text` is plain, `styled` the same with SGR; `wrapped`: it goes on in the next row.

    Blanks at the end of `text` are left out where the row does not go on.
    """

    epoch: int
    number: int
    text: str
    styled: str
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """The live screen. `base` is the number of its first row; the alternate screen never enters the log."""

    epoch: int
    base: int
    rows: tuple[Line, ...]
    cursor_row: int
    cursor_col: int
    cursor_visible: bool
    alternate: bool
    title: str
    bracketed_paste: bool
    application_cursor: bool
    size: Size


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Text between two positions; `left_out`: rows before it that were dropped, too old or too many."""

    text: str
    left_out: int = 0


class Key(StrEnum):
    """Keys that are encoded by the terminal's mode."""

    ENTER = "enter"
    ESCAPE = "escape"
    CTRL_C = "ctrl+c"
    CTRL_D = "ctrl+d"
    CTRL_U = "ctrl+u"
    TAB = "tab"
    SHIFT_TAB = "shift+tab"
    BACKSPACE = "backspace"
    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Changed:
    """The screen or the log changed; read them."""

    tab_id: str


@dataclass(frozen=True, slots=True)
class TitleChanged:
    tab_id: str
    title: str


@dataclass(frozen=True, slots=True)
class MarkSeen:
    """A shell-integration mark, OSC 133: `kind` is its letter, `parameters` the rest, `at` its place.

    `ordinal` grows with every mark of the tab. It is the same when output is read again after a crash of the agent,
    so that no mark counts twice; after lost output numbers are left out, none is used again.
    """

    tab_id: str
    kind: str
    parameters: str
    at: Position
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Exited:
    """The program ended and all of its output has been read."""

    tab_id: str
    exit: ExitStatus


TerminalEvent = Changed | TitleChanged | MarkSeen | Exited


class Terminal(ABC):
    """Tabs with programs in them.

    Every call has a deadline of its own and raises `semo_agent.errors.TerminalError` or one of its leaves;
    `TabNotFound` names a tab that is gone. Tabs outlive the agent: a new instance finds them by `list`.
    """

    name: str
    why: str = ""
    """Why it was chosen, for a person."""

    @abstractmethod
    async def see_usable(self) -> None:
        """Raises `ConfigurationError` or `TerminalError` where nothing can be started in it now; needs no `start`."""

    @abstractmethod
    async def start(self) -> None:
        """Connect, and begin to read the tabs that live already."""

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect and keep what was read on disk; the tabs live on."""

    @abstractmethod
    async def open(self, spec: LaunchSpec) -> TabInfo:
        """Start a program in a new tab. Raises `LaunchFailed` when it can't be started.

        Where what keeps the tabs has died, it is started anew; the tabs that died with it stay dead.
        """

    @abstractmethod
    async def list(self) -> Sequence[TabInfo]:
        """All tabs of ours, the ended ones too until they are closed, and those that died with what kept them."""

    @abstractmethod
    async def write(self, tab_id: str, data: bytes) -> None:
        """Send bytes to the program, all of them, in order, however slowly it reads."""

    @abstractmethod
    async def paste(self, tab_id: str, text: str) -> None:
        """Paste text, between bracketed-paste markers where the program asked for them."""

    @abstractmethod
    async def press(self, tab_id: str, key: Key) -> None:
        """Press one key, encoded as the program's modes want it."""

    @abstractmethod
    async def screen(self, tab_id: str) -> Screen:
        """The live screen as of the last byte read."""

    @abstractmethod
    async def lines(self, tab_id: str, first: int, last: int, *, epoch: int | None = None) -> Sequence[Line]:
        """Committed lines `first` to `last` (exclusive) of an epoch (default: the current), if still kept."""

    @abstractmethod
    async def marks(self, tab_id: str) -> Sequence[MarkSeen]:
        """The last marks, oldest first, where they are now; a new instance has them too."""

    @abstractmethod
    async def text_between(self, tab_id: str, start: Position, end: Position, *, max_bytes: int = 200_000) -> Excerpt:
        """Plain output from `start` to `end`, its last `max_bytes`; without the line end at its very end.

        Rows that were wrapped are joined. Where the cursor went back above `start`, the screen from its top.
        """

    @abstractmethod
    async def resize(self, tab_id: str, size: Size) -> None:
        """Give the tab another size."""

    @abstractmethod
    async def close(self, tab_id: str, *, grace: float = 3.0) -> ExitStatus:
        """End the program (SIGHUP, then SIGTERM, then SIGKILL after `grace` seconds) and forget the tab.

        Of a tab that died it forgets what is left; every other call on such a tab raises `TerminalDied`.
        """

    @abstractmethod
    def events(self) -> AsyncIterator[TerminalEvent]:
        """The one stream of events of all tabs; it ends with `stop`. One consumer.

        Where what keeps the tabs dies, each of them gets `Exited` with a `reason`, and the stream goes on.
        """
