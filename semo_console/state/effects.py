"""What the console wants done outside of itself."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class SendPrompt:
    command_id: UUID
    office_id: UUID
    session_id: UUID
    text: str


@dataclass(frozen=True)
class SendAnswer:
    command_id: UUID
    office_id: UUID
    session_id: UUID
    text: str


@dataclass(frozen=True)
class StopTurn:
    command_id: UUID
    office_id: UUID
    session_id: UUID


@dataclass(frozen=True)
class EndSession:
    command_id: UUID
    office_id: UUID
    session_id: UUID


@dataclass(frozen=True)
class NewSession:
    command_id: UUID
    office_id: UUID
    session_id: UUID
    role: str
    profile: str


@dataclass(frozen=True)
class Unsend:
    command_id: UUID


@dataclass(frozen=True)
class CancelJob:
    job_id: UUID


@dataclass(frozen=True)
class RetryJob:
    job_id: UUID


@dataclass(frozen=True)
class JudgeJob:
    """A person's word on a job whose end nothing proved."""

    job_id: UUID
    done: bool


@dataclass(frozen=True)
class ResetBreaker:
    office_id: UUID
    host_id: UUID
    profile: str


@dataclass(frozen=True)
class Refresh:
    """Read everything again."""


@dataclass(frozen=True)
class Leave:
    """Close the console; everything goes on."""


Order = SendPrompt | SendAnswer | StopTurn | EndSession | NewSession
"""A new command of the office."""
BoardOrder = CancelJob | RetryJob | JudgeJob | ResetBreaker
"""What is done from the board; it has no receipt, but a sentence when it was refused."""
Effect = Order | BoardOrder | Unsend | Refresh | Leave
