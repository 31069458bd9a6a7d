"""What callers send and get, beside the records of the office themselves."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from semo_office.breaker import Breaker
from semo_office.commands import Outcome, OutcomeKind
from semo_office.errors import ErrorCode
from semo_office.jobs import Review
from semo_office.models import (
    AgentCommand,
    CommandEvent,
    CommandStatus,
    CommandType,
    CreateSession,
    Job,
    JobAttempt,
    Office,
    SessionInfo,
    SessionStatus,
    Stage,
)

_DAY_MS: Final = 86_400_000
_TEXT: Final = r"^[^\x00]*$"
_LABEL: Final = r"^[^\x00-\x1f\x7f]+$"

Label = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=_LABEL)]
CommandId = Annotated[
    UUID | None,
    Field(description="Id of the command, made by the caller: the same again is not done twice.", examples=[None]),
]
# `true` is no number, and "yes" is no truth.
Number = Annotated[int, Field(strict=True)]
Milliseconds = Annotated[Number, Field(gt=0, le=30 * _DAY_MS)]


class Body(BaseModel):
    """What a caller sends; a key that is not known here is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(frozen=True)


class NewSession(Body):
    """Start a CLI in a new terminal."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"profile": "shell", "role": "BE"}]})

    id: CommandId = None
    session_id: UUID | None = Field(default=None, description="Id of the new session, if the caller makes it.")
    profile: Label = "shell"
    role: Label = "shell"
    cwd: str | None = Field(default=None, min_length=1, max_length=4096, pattern=_TEXT)
    cols: Number = Field(default=120, ge=20, le=500)
    rows: Number = Field(default=40, ge=5, le=300)
    host_id: UUID | None = None

    def to_request(self) -> CreateSession:
        return CreateSession.model_validate(self.model_dump(exclude={"id", "session_id"}))

    def session_id_for(self, command_id: UUID) -> UUID:
        """Derived where the caller makes none: the same command again must be for the same session."""
        return self.session_id or uuid5(command_id, "session")


class Prompt(Body):
    """Begin a turn once the session is ready."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "make test"}]})

    id: CommandId = None
    prompt: str = Field(description="At most 262 144 bytes of UTF-8.")
    start_by_ms: Milliseconds | None = Field(default=None, description="How long it may wait to begin.")
    turn_limit_ms: Milliseconds | None = Field(default=None, description="How long the turn may run.")


class TextAnswer(Body):
    """Answer what the session asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "y"}]})

    id: CommandId = None
    text: str = Field(description="At most 262 144 bytes of UTF-8.")
    enter: Annotated[bool, Field(strict=True)] = True


class AddedJob(Body):
    """Work for the office itself. Without `role`: that of `agent_id`. Without `profile`: the one of whoever does it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"role": "BE", "any_role": True, "title": "Build", "description": "make build"}]
        }
    )

    id: UUID | None = Field(default=None, description="Id of the job, if the caller makes it.")
    role: Label | None = None
    agent_id: UUID | None = None
    any_role: Annotated[bool, Field(strict=True, description="Also a role that nobody in the team has.")] = False
    profile: Label | None = None
    title: str = Field(min_length=1, max_length=200)
    description: str = Field(description="What to do; for a shell, the command. At most 262 144 bytes of UTF-8.")
    depends_on: tuple[UUID, ...] = Field(default=(), max_length=100)
    priority: Number = Field(default=100, ge=-1_000_000, le=1_000_000, description="A lower number goes first.")
    turn_limit_ms: Annotated[Number, Field(ge=1_000, le=7 * _DAY_MS)] | None = None


class JobReview(Body):
    """A person's word on a job that needs it. The note is in the next prompt."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"verdict": "done"}]})

    verdict: Review
    note: str | None = Field(default=None, max_length=4_000, pattern=_TEXT)


class BreakerReset(Body):
    """Which CLI, and where."""

    host_id: UUID
    profile: Label


class Command(Answer):
    """A command without what it carries."""

    id: UUID
    office_id: UUID
    session_id: UUID
    command_type: CommandType
    status: CommandStatus
    stage: Stage
    error: ErrorCode | None = None
    created_by: UUID
    created_at: datetime
    processed_at: datetime | None = None
    completed_at: datetime | None = None
    version: int

    @classmethod
    def of(cls, command: AgentCommand) -> "Command":
        return cls.model_validate(command.model_dump(include=set(cls.model_fields)))


class CommandResult(Answer):
    """How a command ended. `error` is the code, `message` its sentence."""

    success: bool
    result: dict[str, JsonValue] | None = None
    error: ErrorCode | None = None
    message: str | None = None
    created_at: datetime


class Receipt(Answer):
    """What is known of a command now. `kind`: why the answer comes now; `result` is there when it has finished."""

    kind: OutcomeKind
    command: Command
    result: CommandResult | None = None
    events: tuple[CommandEvent, ...] = ()
    session: SessionInfo | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> "Receipt":
        result = outcome.result.model_dump(include=set(CommandResult.model_fields)) if outcome.result else None
        return cls(
            kind=outcome.kind,
            command=Command.of(outcome.command),
            result=CommandResult.model_validate(result) if result else None,
            events=outcome.events,
            session=outcome.session,
        )


class OutputPage(Answer):
    """Rows of a session, and their text. `next_line`: where the live screen begins; `cursor`: row on it and column."""

    model_config = ConfigDict(extra="ignore")

    output: str
    epoch: int
    first_line: int
    lines: tuple[str, ...]
    next_line: int
    cursor: Annotated[list[int], Field(min_length=2, max_length=2)]
    alternate: bool


class Offices(Answer):
    offices: list[Office]


class Sessions(Answer):
    sessions: list[SessionInfo]


class Jobs(Answer):
    jobs: list[Job]


class JobDetail(Answer):
    """`led`: whether a server runs the office's jobs now."""

    job: Job
    attempts: list[JobAttempt]
    led: bool


class Breakers(Answer):
    breakers: list[Breaker]


class Health(Answer):
    status: str


class OutputRows(Answer):
    """An event `output`: rows that do not change any more. `missed`: how many before them are no longer kept."""

    epoch: int
    first_line: int
    lines: tuple[str, ...]
    missed: int = 0


class EndOfSession(Answer):
    """The event `end`: nothing more comes."""

    status: SessionStatus
    reason: str | None = None


class OpenedStream(Answer):
    """The event `open`: what is read from now on is not older than this version."""

    version: int
