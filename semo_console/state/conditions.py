"""How a session is, in the terms that an operator reads."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from uuid import UUID

from semo_office.models import Confidence, SessionInfo, SessionStatus

ENDED_ON_REQUEST = "request"
"""`status_source` of a session that somebody ended on purpose."""


class Condition(Enum):
    """Glyph and word. Plain ASCII: other glyphs are two columns wide in many Korean terminals."""

    ASKS = ("?", "asks")
    FAILED = ("!", "failed")
    DONE = ("+", "done")
    UNSURE = ("~", "unknown")
    WORKING = ("*", "working")
    STARTING = ("o", "starting")
    IDLE = ("-", "idle")
    ENDED = (".", "ended")

    def __init__(self, glyph: str, word: str) -> None:
        self.glyph = glyph
        self.word = word


NEEDS_YOU = (Condition.ASKS, Condition.FAILED, Condition.DONE, Condition.UNSURE)
"""What waits for a person, the most urgent first."""

_PLAIN: dict[SessionStatus, Condition] = {
    SessionStatus.CREATING: Condition.STARTING,
    SessionStatus.READY: Condition.IDLE,
    SessionStatus.EXECUTING: Condition.WORKING,
    SessionStatus.WAITING_INPUT: Condition.ASKS,
    SessionStatus.ERROR: Condition.FAILED,
    SessionStatus.TERMINATED: Condition.FAILED,
}


@dataclass(frozen=True)
class Entry:
    """A session on the list."""

    info: SessionInfo
    tag: str
    """One letter, the same for the whole life of the session."""
    read_until: datetime
    """What this operator has looked at, by the session's own `status_as_of`."""
    changed_at: datetime
    """When this console noticed the present status, by its own clock."""

    @property
    def session_id(self) -> UUID:
        return self.info.session_id

    @property
    def condition(self) -> Condition:
        status = self.info.status
        if status is SessionStatus.TERMINATED and self.info.status_source == ENDED_ON_REQUEST:
            return Condition.ENDED
        if self.info.confidence is Confidence.LOW and status is not SessionStatus.TERMINATED:
            return Condition.UNSURE
        if status is SessionStatus.READY and self.unread:
            return Condition.DONE
        return _PLAIN[status]

    @property
    def unread(self) -> bool:
        return self.info.status_as_of > self.read_until

    @property
    def ended(self) -> bool:
        return self.info.status is SessionStatus.TERMINATED

    @property
    def needs_you(self) -> bool:
        """A dead session needs a look once; after that it is only there while it is selected."""
        return self.condition in NEEDS_YOU and (self.unread or not self.ended)

    @property
    def urgency(self) -> tuple[int, datetime]:
        return NEEDS_YOU.index(self.condition), self.info.status_as_of

    def read(self) -> "Entry":
        return replace(self, read_until=max(self.read_until, self.info.status_as_of))

    def now_is(self, info: SessionInfo, at: datetime) -> "Entry":
        """The same session with news of it. Older news than what is known changes nothing."""
        if info.version < self.info.version:
            return self
        same = (info.status, info.status_as_of) == (self.info.status, self.info.status_as_of)
        seen = replace(self, info=info, changed_at=self.changed_at if same else at)
        # A session that has just begun has done nothing that could be looked at.
        return seen.read() if self.info.status is SessionStatus.CREATING and not seen.ended else seen
