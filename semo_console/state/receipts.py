"""What became of the commands that were sent from here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from semo_office.errors import ErrorCode
from semo_office.models import CommandStatus, CommandType, Stage

KEPT = 50

_WORDS: dict[str, str] = {
    Stage.QUEUED: "queued",
    Stage.CLAIMED: "picked up",
    Stage.TYPED: "typed",
    Stage.ACCEPTED: "accepted",
    Stage.TURN_ENDED: "turn ended",
}
_ON_ITS_WAY = (Stage.QUEUED, Stage.CLAIMED, Stage.TYPED, Stage.ACCEPTED)


@dataclass(frozen=True)
class Step:
    """One stage that was reached."""

    stage: str
    at: datetime

    @property
    def word(self) -> str:
        return _WORDS.get(self.stage, self.stage)


@dataclass(frozen=True)
class Receipt:
    """One command. `steps` is empty until the office has it."""

    command_id: UUID
    session_id: UUID
    office_id: UUID
    command_type: CommandType
    text: str
    sent_at: datetime
    number: int = 0
    """Counts the commands of one session."""
    steps: tuple[Step, ...] = ()
    status: CommandStatus = CommandStatus.PENDING
    error: ErrorCode | None = None
    message: str | None = None
    exit_status: int | None = None
    refused: bool = False
    """It never reached the office."""

    @property
    def way(self) -> tuple[Step, ...]:
        """How far it came; its end is told by `ending`."""
        return tuple(step for step in self.steps if step.stage in _ON_ITS_WAY)

    @property
    def finished(self) -> bool:
        return self.status.finished or self.refused

    @property
    def can_be_unsent(self) -> bool:
        return bool(self.steps) and self.status is CommandStatus.PENDING and not self.refused

    @property
    def delivery_unknown(self) -> bool:
        return self.error is ErrorCode.INDETERMINATE

    def ending(self) -> str | None:
        """How it ended, in words; None: it goes on."""
        if self.refused:
            return f"not sent: {self.message}"
        if self.error is ErrorCode.CANCELLED:
            return "taken back" if [step.stage for step in self.way] == [Stage.QUEUED] else "cancelled"
        if self.status is CommandStatus.FAILED:
            return f"failed: {self.message or self.error}"
        if self.status is CommandStatus.COMPLETED:
            return "done" if self.exit_status is None else f"exit {self.exit_status}"
        return None


@dataclass(frozen=True)
class Receipts:
    """The last commands, oldest first."""

    by_id: Mapping[UUID, Receipt] = field(default_factory=dict)
    counters: Mapping[UUID, int] = field(default_factory=dict)

    def add(self, receipt: Receipt) -> "Receipts":
        number = self.counters.get(receipt.session_id, 0) + 1
        known = {**self.by_id, receipt.command_id: replace(receipt, number=number)}
        kept = dict(list(known.items())[-KEPT:])
        return Receipts(kept, {**self.counters, receipt.session_id: number})

    def note(self, told: Receipt) -> "Receipts":
        """News of a command; one that was not known is added."""
        known = self.by_id.get(told.command_id)
        if known is None:
            return self.add(told)
        # The answers to two questions may overtake each other: what has ended does not go on.
        if known.finished and not told.finished:
            return self
        return Receipts({**self.by_id, told.command_id: replace(told, number=known.number)}, self.counters)

    def latest_first(self, session_id: UUID | None = None) -> list[Receipt]:
        found = [r for r in self.by_id.values() if session_id is None or r.session_id == session_id]
        return found[::-1]

    def to_unsend(self, session_id: UUID | None) -> Receipt | None:
        """The newest that has not begun, of this session before the others."""
        pending = [receipt for receipt in self.latest_first() if receipt.can_be_unsent]
        own = [receipt for receipt in pending if receipt.session_id == session_id]
        return next(iter(own or pending), None)
