"""What is broadcast on an office's topic, each kind under its own event name and with a version of its own."""

from typing import ClassVar, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from semo_office.models import AgentCommandResult, SessionInfo

EventT = TypeVar("EventT", bound="Event")


class Event(BaseModel):
    """A broadcast. Keys that are unknown here are passed over; another version is none of ours."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ClassVar[str]

    v: Literal[1] = 1

    @classmethod
    def read(cls: type[EventT], payload: dict[str, JsonValue]) -> EventT | None:
        """None: it is of a version that this process does not know, or damaged."""
        try:
            return cls.model_validate(payload)
        except ValidationError:
            return None


class SessionOutput(BaseModel):
    """From row `first` of `epoch` on, the output of a session is exactly these rows, and nothing comes after them.

    Committed lines and the live screen share one numbering: rows `base` to `base + screen_rows - 1` are the screen.
    `rows` carry colour as SGR; `cursor` is (row on the screen, column), None: hidden. `seq` counts the messages of one
    session by one process of its agent (`instance`). at_ms: when it was read there, Unix time. What is too long for
    one message goes on in the next.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    session_id: UUID
    instance: UUID
    seq: int
    epoch: int
    first: int
    rows: tuple[str, ...]
    base: int
    cols: int
    screen_rows: int
    cursor: tuple[int, int] | None
    alternate: bool
    title: str
    at_ms: int

    @property
    def end(self) -> int:
        """The number after the last row."""
        return self.first + len(self.rows)

    @property
    def stands_alone(self) -> bool:
        """It begins above the screen: whoever knows nothing before it can begin here."""
        return self.first <= self.base


class LastLine(BaseModel):
    """The last row of a session that nobody looks at closely."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: UUID
    row: str
    at_ms: int


class OutputEvent(Event):
    """What changed in one tick of an agent."""

    name: ClassVar[str] = "output"

    outputs: tuple[SessionOutput, ...] = ()
    last_lines: tuple[LastLine, ...] = ()


class StreamingEvent(Event):
    """An agent began to listen for watchers: they say now what they watch."""

    name: ClassVar[str] = "streaming"

    instance: UUID


class WatchEvent(Event):
    """What one client watches from now on, for 30 s. `resync`: of these it needs everything anew."""

    name: ClassVar[str] = "watch"

    watcher: UUID
    session_ids: tuple[UUID, ...]
    resync: tuple[UUID, ...] = ()


class SessionStatusEvent(Event):
    """A session was made, or its status or reason changed: the row as it is committed."""

    name: ClassVar[str] = "session_status"

    session: SessionInfo


class CommandResultEvent(Event):
    """A command ended. What it brought back (`result.result`) is left out; it is read by key."""

    name: ClassVar[str] = "command_result"

    result: AgentCommandResult
