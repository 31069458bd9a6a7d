"""An office in memory that records what the agent tells it; `test_office_contract.py` holds it to the real rules."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from pydantic import JsonValue

from semo_agent.errors import ClaimLost
from semo_agent.office import Claim, Office, Step, Verdict
from semo_office.models import (
    PAYLOADS,
    AgentCommand,
    ClaimedCommand,
    CommandPayload,
    CommandStatus,
    CommandType,
    SendText,
    SessionInfo,
    SessionReport,
    SessionStatus,
    Stage,
)

OFFICE_ID, HOST_ID, OPERATOR_ID = uuid4(), uuid4(), uuid4()
TYPES = {model: command_type for command_type, model in PAYLOADS.items()}
DEADLINE_S = 20.0


@dataclass(slots=True)
class Written:
    """One command and all that was said of it."""

    command: AgentCommand
    stages: list[tuple[Step, dict[str, JsonValue]]] = field(default_factory=list)
    verdict: Verdict | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)


class RecordingOffice(Office):
    """Commands and sessions of one host."""

    def __init__(self) -> None:
        self.commands: dict[UUID, Written] = {}
        self.rows: dict[UUID, SessionInfo] = {}
        self.reports: list[tuple[UUID, SessionReport]] = []
        self._changed = asyncio.Event()

    def write_session(self, cwd: str, profile: str = "shell") -> SessionInfo:
        now = datetime.now(UTC)
        row = SessionInfo(
            session_id=uuid4(), office_id=OFFICE_ID, host_id=HOST_ID, role="shell", profile=profile, cwd=cwd,
            status=SessionStatus.CREATING, status_source="request", status_as_of=now,
            created_at=now, last_activity_at=now, version=1,
        )  # fmt: skip
        self.rows[row.session_id] = row
        return row

    def write(self, session_id: UUID, payload: CommandPayload) -> AgentCommand:
        """A command that was just claimed."""
        command_type = TYPES[type(payload)]
        urgent = command_type in (CommandType.CANCEL, CommandType.TERMINATE, CommandType.GET_OUTPUT)
        command = AgentCommand(
            id=uuid4(), sequence=len(self.commands) + 1, office_id=OFFICE_ID, session_id=session_id, host_id=HOST_ID,
            command_type=command_type, payload=payload.model_dump(mode="json", exclude_none=True),
            urgent=urgent or (isinstance(payload, SendText) and payload.answer),
            status=CommandStatus.PROCESSING, stage=Stage.CLAIMED, attempt=1, claim_token=uuid4(),
            created_by=OPERATOR_ID, created_at=datetime.now(UTC), version=1,
        )  # fmt: skip
        self.commands[command.id] = Written(command)
        return command

    async def verdict(self, command: AgentCommand, timeout: float = DEADLINE_S) -> Verdict:
        """How the command ended. Raises TimeoutError."""
        written = self.commands[command.id]
        async with asyncio.timeout(timeout):
            await written.finished.wait()
        assert written.verdict is not None
        return written.verdict

    async def seen_as(self, session_id: UUID, status: SessionStatus, timeout: float = DEADLINE_S) -> SessionInfo:
        """The session's row once it has this status. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while self.rows[session_id].status is not status:
                await self._changed.wait()
        return self.rows[session_id]

    async def seen_with_tab(self, session_id: UUID, timeout: float = DEADLINE_S) -> None:
        """Wait until the session's terminal is known. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while self.rows[session_id].iterm_tab_id is None:
                await self._changed.wait()

    async def reached(self, command: AgentCommand, stage: Stage, timeout: float = DEADLINE_S) -> None:
        """Wait until the command has this stage. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while stage not in [step for step, _ in self.commands[command.id].stages]:
                await self._changed.wait()

    async def claim(self) -> Sequence[ClaimedCommand]:
        return []

    async def confirm(self, claim: Claim) -> None:
        self._fenced(claim)

    async def report_stage(
        self, claim: Claim, step: Step, evidence: dict[str, JsonValue], session: SessionReport | None = None
    ) -> None:
        written = self._fenced(claim)
        if written.verdict is not None:
            raise ClaimLost("The command is finished.")
        if step not in [known for known, _ in written.stages]:
            written.stages.append((step, evidence))
            written.command = written.command.model_copy(update={"stage": step})
        if step is Stage.ACCEPTED:
            self._apply(written.command.session_id, SessionReport(status=SessionStatus.EXECUTING))
        self._tell()

    async def complete(self, claim: Claim, verdict: Verdict, session: SessionReport | None = None) -> bool:
        written = self._fenced(claim)
        if written.verdict is not None:
            return False
        if session is not None:
            self._apply(written.command.session_id, session)
        written.verdict = verdict
        written.finished.set()
        self._tell()
        return True

    async def report_session(self, session_id: UUID, report: SessionReport) -> None:
        if session_id not in self.rows:
            raise ClaimLost("This host has no such session.")
        self._apply(session_id, report)
        self._tell()

    async def session(self, session_id: UUID) -> SessionInfo | None:
        return self.rows.get(session_id)

    async def sessions(self) -> Sequence[SessionInfo]:
        return [row for row in self.rows.values() if row.status is not SessionStatus.TERMINATED]

    async def begun_commands(self) -> Sequence[AgentCommand]:
        return [written.command for written in self.commands.values() if written.verdict is None]

    async def waiting_commands(self, session_ids: Sequence[UUID]) -> Sequence[AgentCommand]:
        return []

    async def give_back(self) -> None:
        pass

    def _fenced(self, claim: Claim) -> Written:
        written = self.commands.get(claim.command_id)
        if written is None or written.command.claim_token != claim.token:
            raise ClaimLost("The claim on this command was given to someone else.")
        return written

    def _apply(self, session_id: UUID, report: SessionReport) -> None:
        row = self.rows[session_id]
        if row.status is SessionStatus.TERMINATED and report.status not in (None, SessionStatus.TERMINATED):
            raise ClaimLost("A terminated session does not come back.")
        changes = {name: value for name, value in report if value is not None}
        if report.status is not None:
            changes["reason"] = report.reason
        self.rows[session_id] = row.model_copy(update=changes)
        self.reports.append((session_id, report))

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
