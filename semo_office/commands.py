"""Commands in the database: written by operators, claimed and completed by the agents of hosts."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from semo_office.errors import CommandError, CommandNotFound, ErrorCode, LinkError, NotAuthenticated, WaitEnded
from semo_office.link import Expectation, Link, among, eq
from semo_office.models import (
    PAYLOADS,
    AgentCommand,
    AgentCommandResult,
    ClaimedCommand,
    CommandEvent,
    CommandPayload,
    CommandStatus,
    CommandType,
    Lease,
    SessionInfo,
    SessionReport,
    SessionStatus,
    Stage,
)

POLL_FIRST_S: Final = 0.5
POLL_SLOWEST_S: Final = 5.0
POLL_GROWTH: Final = 1.5
EXPIRE_EVERY_S: Final = 5.0
# A host that woke at the same moment reports its own sleep first; else its commands would seem overdue.
EXPIRE_AFTER_SLEEP_S: Final = 20.0
LEASE_MS: Final = 15_000

# The types that a question of the program holds up; an answer, a cancel and the like go on past it.
HELD_UP_BY_A_QUESTION: Final = frozenset({CommandType.SEND_PROMPT, CommandType.CREATE_SESSION})

_TYPE_OF_PAYLOAD: Final = {model: kind for kind, model in PAYLOADS.items()}
_CLAIMED: Final = TypeAdapter(list[ClaimedCommand])


class Reported(BaseModel):
    """What a report has become. `waiting`: the session has commands that wait, and they may be claimable now."""

    model_config = ConfigDict(frozen=True)

    waiting: bool


class StageReported(Reported):
    """`stage` is the one that the command has now."""

    stage: Stage


class Completion(Reported):
    """`repeated`: the result was there already; `late`: it was kept as `late_result`."""

    kept: Literal["completed", "repeated", "late"]


class NewCommand(BaseModel):
    """What a client asks for. The client makes the ids, so that asking again after a lost answer does no harm.

    `session_id` is the session it is for; of create_session, the id that the new one gets. `start_by_ms`: how long it
    may wait to begin, ms; None: 300 000 ms, and for prompts no limit.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID = Field(default_factory=uuid4)
    office_id: UUID
    session_id: UUID
    command_type: CommandType
    payload: dict[str, JsonValue] = Field(default_factory=dict)
    start_by_ms: int | None = None

    @classmethod
    def carrying(
        cls,
        payload: CommandPayload,
        *,
        office_id: UUID,
        session_id: UUID,
        command_id: UUID | None = None,
        start_by_ms: int | None = None,
    ) -> "NewCommand":
        """The command of the type that this payload belongs to."""
        return cls(
            id=command_id or uuid4(),
            office_id=office_id,
            session_id=session_id,
            command_type=_TYPE_OF_PAYLOAD[type(payload)],
            payload=payload.model_dump(mode="json", exclude_none=True),
            start_by_ms=start_by_ms,
        )


class OutcomeKind(StrEnum):
    """Why a caller has its answer now."""

    SENT = "sent"  # nobody waited
    FINISHED = "finished"
    WAITING_INPUT = "waiting_input"
    STILL_WAITING = "still_waiting"


class Outcome(BaseModel):
    """What is known of a command at one moment. `result` is there exactly when it has finished."""

    model_config = ConfigDict(frozen=True)

    kind: OutcomeKind
    command: AgentCommand
    result: AgentCommandResult | None = None
    events: tuple[CommandEvent, ...] = ()
    session: SessionInfo | None = None


class CommandRepository:
    """`agent_commands`, their results and receipts. Every change is one function of the database, atomic and fenced.

    Every method raises LinkError when the office can't be reached, NotAuthenticated when it does not accept the token,
    CommandError when it refuses, and RequestRejected for a mistake in the request.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._instances_with_a_lost_claim: set[UUID] = set()

    def clock(self) -> float:
        """Monotonic, s; the link's."""
        return self._link.clock()

    # Operators

    async def create_command(self, command: NewCommand) -> AgentCommand:
        """Write a command; the same command again returns the row that is there."""
        row = await self._link.rpc(
            "create_command",
            {
                "p_id": str(command.id),
                "p_office_id": str(command.office_id),
                "p_command_type": command.command_type,
                "p_payload": command.payload,
                "p_session_id": str(command.session_id),
                "p_start_by_ms": command.start_by_ms,
            },
            retry=True,
        )
        return AgentCommand.model_validate(row)

    async def cancel_command(self, command_id: UUID) -> AgentCommand:
        """Take back a command that has not begun. Raises CommandError(CONFLICT) when it has."""
        try:
            row = await self._link.rpc("cancel_command", {"p_command_id": str(command_id)}, retry=True)
        except CommandError as err:
            # The answer to a first try may have been lost: then the second finds it taken back already.
            command = await self.get_command(command_id) if err.code is ErrorCode.CONFLICT else None
            if command is None or command.error is not ErrorCode.CANCELLED:
                raise
            return command
        return AgentCommand.model_validate(row)

    async def get_command(self, command_id: UUID) -> AgentCommand | None:
        """None: there is no such command, or none that the caller may see."""
        rows = await self._link.select("agent_commands", filters=[eq("id", command_id)])
        return AgentCommand.model_validate(rows[0]) if rows else None

    async def get_command_result(self, command_id: UUID) -> AgentCommandResult | None:
        """None: it has not finished."""
        rows = await self._link.select("agent_command_results", filters=[eq("command_id", command_id)])
        return AgentCommandResult.model_validate(rows[0]) if rows else None

    async def events(self, command_id: UUID) -> list[CommandEvent]:
        """The receipt, oldest step first."""
        rows = await self._link.select("agent_command_events", filters=[eq("command_id", command_id)], order=["id"])
        return [CommandEvent.model_validate(row) for row in rows]

    async def get_outcome(self, command_id: UUID) -> Outcome:
        """Command, result, receipt and session as of one moment, in one request. Raises CommandNotFound."""
        row = await self._link.rpc("command_outcome", {"p_command_id": str(command_id)}, retry=True)
        if row is None:
            raise CommandNotFound(f"There is no command {command_id}.")
        return _judged(_outcome_of(row), until_input=False)

    def expect(self, command: NewCommand) -> Expectation:
        """Wakes when this command ends or its session changes. Enter it before `create_command`: nothing is missed."""
        return self._expect(command.office_id, command.session_id, command.id)

    async def wait_for_result(self, command_id: UUID, timeout: float | None) -> AgentCommandResult:
        """The result, also one that came before. timeout: s, None: for ever. Raises WaitEnded, CommandNotFound."""
        outcome = await self.wait_for_outcome(command_id, timeout, until_input=False)
        if outcome.result is None:
            raise CommandNotFound(f"The command {command_id} has finished without a result.")
        return outcome.result

    async def wait_for_outcome(self, command_id: UUID, timeout: float | None, *, until_input: bool = True) -> Outcome:
        """The outcome once the command has finished, or (`until_input`) once its session asks something.

        timeout: s, None: for ever. Raises WaitEnded, which changes nothing in the office; CommandNotFound.
        """
        known = _judged(await self.get_outcome(command_id), until_input)
        if known.kind is not OutcomeKind.STILL_WAITING:
            return known
        command = known.command
        async with self._expect(command.office_id, command.session_id, command.id) as change:
            # What happened between that look and the registration would be heard by nobody.
            now = _judged(await self.get_outcome(command_id), until_input)
            if now.kind is not OutcomeKind.STILL_WAITING:
                return now
            return await self.settle(change, command_id, timeout, until_input=until_input)

    async def settle(
        self, change: Expectation, command_id: UUID, timeout: float | None, *, until_input: bool = True
    ) -> Outcome:
        """Like `wait_for_outcome`, under an expectation that was entered before the command was written."""
        clock, sleep = self._link.clock, self._link.sleep_watch()
        start, poll, expire_at = clock(), POLL_FIRST_S, clock() + EXPIRE_EVERY_S
        while timeout is None or clock() < start + timeout:
            woken = await change.next(poll if timeout is None else min(poll, start + timeout - clock()))
            poll = poll if woken else min(poll * POLL_GROWTH, POLL_SLOWEST_S)
            try:
                if sleep.slept():
                    expire_at = clock() + EXPIRE_AFTER_SLEEP_S
                if clock() >= expire_at:
                    expire_at = clock() + EXPIRE_EVERY_S
                    await self.expire_commands()
                outcome = _judged(await self.get_outcome(command_id), until_input)
            except NotAuthenticated:
                raise
            except LinkError:
                # The office may be back before the caller's patience ends; the link shows that it is away.
                continue
            if outcome.kind is not OutcomeKind.STILL_WAITING:
                return outcome
        raise WaitEnded(f"It has not finished after {timeout:g} s. It goes on; only the wait has ended.")

    # Agents

    async def renew_leases(
        self, instance: UUID, *, take: bool = False, ttl_ms: int = LEASE_MS, slept_ms: int = 0
    ) -> Lease:
        """Say that this agent process acts for its host. `take`: supersede the one before.

        `slept_ms`: how long its machine slept since the last renewal; the limits of what waits stood still so long.
        Raises CommandError(SUPERSEDED).
        """
        arguments: dict[str, JsonValue] = {
            "p_instance": str(instance),
            "p_take": take,
            "p_ttl_ms": ttl_ms,
            "p_slept_ms": slept_ms,
        }
        # A sleep that is told twice would give twice the time.
        row = await self._link.rpc("renew_leases", arguments, retry=slept_ms == 0)
        return Lease.model_validate(row)

    async def claim_commands(self, instance: UUID, limit: int = 20) -> list[ClaimedCommand]:
        """What this host may begin now, at most `limit`; urgent ones first. Raises CommandError(SUPERSEDED).

        After an answer that was lost, the next call also hands out what this instance holds at stage `claimed`: a
        command may then come a second time with the same `claim_token`.
        """
        found = await self.claimed_commands(instance) if instance in self._instances_with_a_lost_claim else []
        self._instances_with_a_lost_claim.discard(instance)
        try:
            rows = await self._link.rpc("claim_commands", {"p_instance": str(instance), "p_limit": limit})
        except LinkError:
            self._instances_with_a_lost_claim.add(instance)
            raise
        return [ClaimedCommand(command=command) for command in found] + _CLAIMED.validate_python(rows)

    async def claimed_commands(self, instance: UUID) -> list[AgentCommand]:
        """What this instance has claimed and not yet typed, in the order of the lanes."""
        rows = await self._link.select(
            "agent_commands",
            filters=[eq("claimed_by", instance), eq("status", CommandStatus.PROCESSING), eq("stage", Stage.CLAIMED)],
            order=["sequence"],
        )
        return [AgentCommand.model_validate(row) for row in rows]

    async def processing_commands(self, host_id: UUID) -> list[AgentCommand]:
        """What this host has begun and not finished, whichever instance began it: what a restart reconciles."""
        rows = await self._link.select(
            "agent_commands",
            filters=[eq("host_id", host_id), eq("status", CommandStatus.PROCESSING)],
            order=["sequence"],
        )
        return [AgentCommand.model_validate(row) for row in rows]

    async def pending_commands(self, session_ids: Sequence[UUID]) -> list[AgentCommand]:
        """What waits for these sessions, in the order of the lanes."""
        rows = await self._link.select(
            "agent_commands",
            filters=[among("session_id", session_ids), eq("status", CommandStatus.PENDING)],
            order=["sequence"],
        )
        return [AgentCommand.model_validate(row) for row in rows]

    async def report_stage(
        self,
        command_id: UUID,
        claim_token: UUID,
        stage: Literal[Stage.CLAIMED, Stage.TYPED, Stage.ACCEPTED],
        *,
        evidence: dict[str, JsonValue] | None = None,
        session: SessionReport | None = None,
    ) -> StageReported:
        """One step on the receipt; `accepted` opens the lane and sets the session `executing`.

        `claimed` is no step: it only asks whether the claim still holds. The same step again is no error. Raises
        CommandError(CONFLICT) for a foreign token or a finished command.
        """
        answer = await self._link.rpc(
            "report_stage",
            {
                "p_command_id": str(command_id),
                "p_claim_token": str(claim_token),
                "p_stage": stage,
                "p_evidence": evidence or {},
                "p_session": session.to_json() if session else None,
            },
            retry=True,
        )
        return StageReported.model_validate(answer)

    async def complete_command(
        self,
        command_id: UUID,
        claim_token: UUID,
        *,
        result: dict[str, JsonValue] | None = None,
        error: ErrorCode | None = None,
        message: str | None = None,
        evidence: dict[str, JsonValue] | None = None,
        session: SessionReport | None = None,
    ) -> Completion:
        """The one result, successful when there is no `error`.

        Raises CommandError(CONFLICT) for a foreign token, which changes nothing.
        """
        answer = await self._link.rpc(
            "complete_command",
            {
                "p_command_id": str(command_id),
                "p_claim_token": str(claim_token),
                "p_success": error is None,
                "p_result": result,
                "p_error": error,
                "p_message": message,
                "p_evidence": evidence or {},
                "p_session": session.to_json() if session else None,
            },
            retry=True,
        )
        return Completion.model_validate(answer)

    # Both

    async def expire_commands(self) -> int:
        """End or give back what is overdue, among what the caller may see; how many. Whoever waits calls it."""
        count = await self._link.rpc("expire_commands", {}, retry=True)
        return int(str(count))

    def _expect(self, office_id: UUID, session_id: UUID, command_id: UUID) -> Expectation:
        return self._link.expect(office_id, ("agent_command_results", command_id), ("agent_sessions", session_id))


def _outcome_of(row: JsonValue) -> Outcome:
    return Outcome.model_validate({"kind": OutcomeKind.STILL_WAITING, **(row if isinstance(row, dict) else {})})


def _judged(outcome: Outcome, until_input: bool) -> Outcome:
    """The same with the kind that a waiting caller needs."""
    if outcome.command.status.finished:
        return outcome.model_copy(update={"kind": OutcomeKind.FINISHED})
    asks = outcome.session is not None and outcome.session.status is SessionStatus.WAITING_INPUT
    if until_input and asks and outcome.command.command_type in HELD_UP_BY_A_QUESTION:
        return outcome.model_copy(update={"kind": OutcomeKind.WAITING_INPUT})
    return outcome
