"""What clients and agents say to each other: rows of the database and the payloads inside them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from semo_office.errors import ErrorCode

PROMPT_BYTES_MAX = 262_144
RESULT_BYTES_MAX = 200_000


class Record(BaseModel):
    """A row as the database has it. Unknown columns are ignored: a newer schema does not stop an older client."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Payload(BaseModel):
    """What a command carries; a key that is not known here is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionStatus(StrEnum):
    CREATING = "creating"
    READY = "ready"
    EXECUTING = "executing"
    WAITING_INPUT = "waiting_input"
    ERROR = "error"
    TERMINATED = "terminated"


class CommandType(StrEnum):
    CREATE_SESSION = "create_session"
    SEND_PROMPT = "send_prompt"
    SEND_TEXT = "send_text"
    GET_OUTPUT = "get_output"
    CANCEL = "cancel"
    TERMINATE = "terminate"


class CommandStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self in (CommandStatus.COMPLETED, CommandStatus.FAILED)


class Stage(StrEnum):
    """The receipt of a command, in order; not every type passes every step."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    TYPED = "typed"
    ACCEPTED = "accepted"
    TURN_ENDED = "turn_ended"


class Confidence(StrEnum):
    HIGH = "high"
    LOW = "low"


class PoolState(StrEnum):
    """`kept`: it has held a conversation, which a person may want to read."""

    SPARE = "spare"
    IN_USE = "in_use"
    KEPT = "kept"


class Office(Record):
    id: UUID
    name: str
    repo_path: str
    version: int


class AgentHost(Record):
    id: UUID
    user_id: UUID
    owner_id: UUID
    name: str
    last_seen_at: datetime | None


class OfficeHost(Record):
    office_id: UUID
    host_id: UUID
    repo_path: str
    terminal: str
    max_sessions: int


class Lease(Record):
    host_id: UUID
    instance_id: UUID
    expires_at: datetime


class SessionInfo(Record):
    """One terminal with one CLI. `status` is the agent's word, with what it rests on. Without `pool_state` it is a person's."""

    session_id: UUID
    office_id: UUID
    host_id: UUID
    agent_id: UUID | None = None
    worktree_id: UUID | None = None
    iterm_tab_id: str | None = None
    role: str
    profile: str
    cwd: str
    title: str | None = None
    status: SessionStatus
    status_source: str
    status_as_of: datetime
    reason: str | None = None
    confidence: Confidence = Confidence.HIGH
    exit_status: int | None = None
    exit_signal: int | None = None
    active_turn_command_id: UUID | None = None
    pool_state: PoolState | None = None
    dismissed_at: datetime | None = None
    cli_version: str | None = None
    created_at: datetime
    last_activity_at: datetime
    ended_at: datetime | None = None
    version: int


class AgentCommand(Record):
    """A row of `agent_commands`. `claim_token` is the fence of whoever claimed it."""

    id: UUID
    sequence: int
    office_id: UUID
    session_id: UUID
    host_id: UUID
    command_type: CommandType
    payload: dict[str, JsonValue]
    urgent: bool
    status: CommandStatus
    stage: Stage
    attempt: int
    claim_token: UUID | None = None
    claimed_by: UUID | None = None
    error: ErrorCode | None = None
    created_by: UUID
    created_at: datetime
    processed_at: datetime | None = None
    completed_at: datetime | None = None
    version: int


class ClaimedCommand(Record):
    """What `claim_commands` hands out; `remaining_ms` is what is left of the start limit, None: no limit."""

    command: AgentCommand
    remaining_ms: int | None = None


class CommandEvent(Record):
    """One step of a receipt."""

    command_id: UUID
    stage: str
    at: datetime
    actor: Literal["operator", "agent", "system"]
    evidence: dict[str, JsonValue] = Field(default_factory=dict)


class AgentCommandResult(Record):
    """How a command ended. `error` is the code, `message` its sentence."""

    id: UUID
    command_id: UUID
    success: bool
    result: dict[str, JsonValue] | None = None
    error: ErrorCode | None = None
    message: str | None = None
    created_at: datetime


class JobStatus(StrEnum):
    """`pending`: waits for its dependencies. `ready`: waits for the office's server."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    NEEDS_REVIEW = "needs_review"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Record):
    """Work with a goal. A lower `priority` goes first; `error` and `reason` say why it failed."""

    id: UUID
    office_id: UUID
    agent_id: UUID | None = None
    worktree_id: UUID | None = None
    role: str
    title: str
    description: str
    status: JobStatus
    depends_on: tuple[UUID, ...] = ()
    priority: int
    error: ErrorCode | None = None
    reason: str | None = None
    cancel_requested_at: datetime | None = None
    created_by: UUID
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    version: int


class AttemptStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobAttempt(Record):
    """One try of a job. A retry by hand begins a new `round`; `command_id` is its prompt, None: not sent yet."""

    id: UUID
    job_id: UUID
    attempt: int
    round: int
    status: AttemptStatus
    session_id: UUID | None = None
    command_id: UUID | None = None
    error: ErrorCode | None = None
    reason: str | None = None
    evidence: dict[str, JsonValue] = Field(default_factory=dict)
    started_at: datetime
    finished_at: datetime | None = None


class AgentPersona(Record):
    """How a role works."""

    id: UUID
    office_id: UUID | None = None
    role: str
    name: str
    persona_prompt: str
    scope_patterns: tuple[str, ...] = ()
    core_skills: tuple[str, ...] = ()
    is_default: bool = False


class OfficeAgent(Record):
    """A member of the team."""

    id: UUID
    office_id: UUID
    persona_id: UUID | None = None
    role: str
    name: str
    status: Literal["idle", "working", "blocked", "error"]
    current_task: str | None = None


class SessionReport(BaseModel):
    """What the agent saw of a session; what is None is left as it is. A new status replaces the reason."""

    model_config = ConfigDict(frozen=True)

    status: SessionStatus | None = None
    status_source: str | None = None
    reason: str | None = None
    confidence: Confidence | None = None
    exit_status: int | None = None
    exit_signal: int | None = None
    iterm_tab_id: str | None = None
    title: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        return self.model_dump(mode="json", exclude_none=True)


class CreateSession(Payload):
    """Start a CLI in a new terminal. cols and rows are cells."""

    profile: str = Field(min_length=1, max_length=40)
    role: str = Field(default="shell", min_length=1, max_length=40)
    cwd: str | None = None
    cols: int = Field(default=120, ge=20, le=500)
    rows: int = Field(default=40, ge=5, le=300)
    host_id: UUID | None = None


class SendPrompt(Payload):
    """Begin a turn with this text. `turn_limit_ms`: how long it may run before it is stopped; None: as it likes."""

    prompt: str
    turn_limit_ms: int | None = Field(default=None, gt=0)


class SendText(Payload):
    """Type text. `answer`: to what the session asks; `raw`: bytes as they are, no stripping, no Enter."""

    text: str
    answer: bool = False
    raw: bool = False
    enter: bool = True


class GetOutput(Payload):
    """Read output. With `since_line` (in `epoch`) from there on, else the last `lines` rows, live screen included."""

    lines: int = Field(default=100, ge=1, le=10_000)
    epoch: int | None = None
    since_line: int | None = Field(default=None, ge=0)
    styled: bool = False


class Cancel(Payload):
    """Stop the turn that runs."""


class Terminate(Payload):
    """End the program and close its tab."""

    grace_ms: Annotated[int, Field(ge=0, le=60_000)] = 3_000


CommandPayload = CreateSession | SendPrompt | SendText | GetOutput | Cancel | Terminate

PAYLOADS: dict[CommandType, type[CommandPayload]] = {
    CommandType.CREATE_SESSION: CreateSession,
    CommandType.SEND_PROMPT: SendPrompt,
    CommandType.SEND_TEXT: SendText,
    CommandType.GET_OUTPUT: GetOutput,
    CommandType.CANCEL: Cancel,
    CommandType.TERMINATE: Terminate,
}
