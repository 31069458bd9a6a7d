"""What the agent tells the office: steps, results and states, each delivered even if the office is away a while."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar
from uuid import UUID

import structlog
from pydantic import JsonValue

from semo_agent.errors import ClaimLost, Stopping, Superseded
from semo_agent.lease import Lease, Terms
from semo_agent.stopping import Stop
from semo_office.commands import CommandRepository, Reported
from semo_office.errors import CommandError, ErrorCode, LinkError
from semo_office.link import Backoff
from semo_office.models import AgentCommand, ClaimedCommand, SessionInfo, SessionReport, Stage
from semo_office.sessions import SessionStore

Answer = TypeVar("Answer")
Step = Literal[Stage.TYPED, Stage.ACCEPTED]

CLAIM_LIMIT = 20
RETRY_FIRST_S = 0.25
RETRY_SLOWEST_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A command in this agent's hands: the token is the fence under which it reports."""

    command_id: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a command ended: successful when there is no `error`."""

    result: dict[str, JsonValue] | None = None
    error: ErrorCode | None = None
    message: str | None = None
    evidence: dict[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def failed(cls, err: CommandError) -> "Verdict":
        return cls(error=err.code, message=str(err))


class Office(Protocol):
    """The office as the agent sees it.

    Every call is repeated until the office has it. Raises ClaimLost, Superseded; Stopping when the agent stops first.
    """

    async def claim(self) -> Sequence[ClaimedCommand]:
        """What may begin now."""

    async def confirm(self, claim: Claim) -> None:
        """Make sure before typing that the command is still ours: this process may have been out of reach for long."""

    async def report_stage(
        self, claim: Claim, step: Step, evidence: dict[str, JsonValue], session: SessionReport | None = None
    ) -> None:
        """One step on the receipt of a command."""

    async def complete(self, claim: Claim, verdict: Verdict, session: SessionReport | None = None) -> bool:
        """The one result of a command, and the state of the session that goes with it.

        False: the command had its end before, and the state was not taken.
        """

    async def report_session(self, session_id: UUID, report: SessionReport) -> None:
        """What was seen of a session."""

    async def session(self, session_id: UUID) -> SessionInfo | None:
        """The session's row."""

    async def sessions(self) -> Sequence[SessionInfo]:
        """The sessions of this host that have not ended."""

    async def begun_commands(self) -> Sequence[AgentCommand]:
        """What this host has begun and not finished, whichever process of it."""

    async def waiting_commands(self, session_ids: Sequence[UUID]) -> Sequence[AgentCommand]:
        """What waits for these sessions."""

    async def give_back(self) -> None:
        """What an earlier process of this host had only claimed may be claimed again."""


class LinkedOffice(Office):
    """The office over the link. random: pauses between tries have full jitter.

    slept: how long the machine slept since it was last asked, s. `claimable` is called where a report may have let a
    waiting command begin.
    """

    def __init__(
        self,
        commands: CommandRepository,
        sessions: SessionStore,
        *,
        host_id: UUID,
        instance: UUID,
        stop: Stop,
        random: Callable[[], float],
        claimable: Callable[[], None],
        lease: Lease,
        slept: Callable[[], float],
    ) -> None:
        self._commands = commands
        self._sessions = sessions
        self._host_id = host_id
        self._instance = instance
        self._stop = stop
        self._random = random
        self._claimable = claimable
        self._lease = lease
        self._slept = slept
        self._untold_sleep_ms = 0
        self._renewing = asyncio.Lock()

    @property
    def lease_terms(self) -> Terms:
        return self._lease.terms

    async def claim(self) -> Sequence[ClaimedCommand]:
        """One try only: the claim loop has its own rhythm. Raises LinkError."""
        await self._tell_sleep()
        if not self._lease.is_fresh():
            # Under a lease that has lapsed it would be given back as soon as anybody looks.
            await self.renew_lease()
        age = self._lease.age
        with _translated():
            claimed = await self._commands.claim_commands(self._instance, CLAIM_LIMIT)
        for each in claimed:
            if each.command.claim_token is not None:
                self._lease.note_claim(each.command.claim_token, age)
        return claimed

    async def patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask until the office answers. Raises what it refuses with, Superseded, ClaimLost, Stopping."""
        backoff = Backoff(self._random, first=RETRY_FIRST_S, longest=RETRY_SLOWEST_S)
        while True:
            try:
                with _translated():
                    return await ask()
            except LinkError as err:
                _log.warning("office_away", error=type(err).__name__)
                if await self._stop.within(backoff.next()):
                    raise Stopping("The office could not be told before the agent stopped.") from err

    async def take_lease(self) -> None:
        """Act for the host from now on; a process before this one is superseded for good."""
        await self.patiently(lambda: self._renew(take=True))

    async def renew_lease(self) -> None:
        """One try only. Raises LinkError, Superseded."""
        with _translated():
            await self._renew()

    async def expire_commands(self) -> None:
        """End what is overdue. One try only. Raises LinkError."""
        await self._tell_sleep()
        with _translated():
            await self._commands.expire_commands()

    async def confirm(self, claim: Claim) -> None:
        if self._lease.covers(claim.token):
            return
        await self.patiently(self._renew)
        with self._looking_again():
            await self.patiently(lambda: self._commands.report_stage(claim.command_id, claim.token, Stage.CLAIMED))

    async def report_stage(
        self, claim: Claim, step: Step, evidence: dict[str, JsonValue], session: SessionReport | None = None
    ) -> None:
        with self._looking_again():
            reported = await self.patiently(
                lambda: self._commands.report_stage(
                    claim.command_id, claim.token, step, evidence=evidence, session=session
                )
            )
        self._note_waiting(reported)

    async def complete(self, claim: Claim, verdict: Verdict, session: SessionReport | None = None) -> bool:
        with self._looking_again():
            done = await self.patiently(
                lambda: self._commands.complete_command(
                    claim.command_id,
                    claim.token,
                    result=verdict.result,
                    error=verdict.error,
                    message=verdict.message,
                    evidence=verdict.evidence,
                    session=session,
                )
            )
        self._lease.drop_claim(claim.token)
        self._note_waiting(done)
        if done.kept != "completed":
            _log.info("completed_before", command_id=str(claim.command_id), kept=done.kept)
        return done.kept == "completed"

    async def report_session(self, session_id: UUID, report: SessionReport) -> None:
        await self.patiently(lambda: self._sessions.set_session(self._instance, session_id, report))
        # Not said by the answer; a report without a command is rare, and a claim too many does no harm.
        self._claimable()

    async def session(self, session_id: UUID) -> SessionInfo | None:
        return await self.patiently(lambda: self._sessions.get_session(session_id))

    async def sessions(self) -> Sequence[SessionInfo]:
        return await self.patiently(lambda: self._sessions.get_sessions_by_host(self._host_id))

    async def begun_commands(self) -> Sequence[AgentCommand]:
        return await self.patiently(lambda: self._commands.processing_commands(self._host_id))

    async def waiting_commands(self, session_ids: Sequence[UUID]) -> Sequence[AgentCommand]:
        return await self.patiently(lambda: self._commands.pending_commands(session_ids))

    async def give_back(self) -> None:
        await self.patiently(self._commands.expire_commands)

    @contextmanager
    def _looking_again(self) -> Iterator[None]:
        """A command that is not ours any more may wait to be claimed anew."""
        try:
            yield
        except ClaimLost:
            self._claimable()
            raise

    async def _renew(self, *, take: bool = False) -> None:
        """With every renewal goes what the machine slept: no moment sees a live host whose commands are overdue by it.

        If only the answer was lost it is told again: too much time to begin does less harm than too little.
        """
        async with self._renewing:
            self._note_sleep()
            asked, told = self._lease.now(), self._untold_sleep_ms
            await self._commands.renew_leases(
                self._instance, take=take, ttl_ms=round(self._lease.terms.lasts_s * 1000), slept_ms=told
            )
            self._untold_sleep_ms -= told
            self._lease.note_renewal(asked)

    async def _tell_sleep(self) -> None:
        """Before anything is claimed or ended: both depend on the time that the machine slept."""
        self._note_sleep()
        if self._untold_sleep_ms:
            with _translated():
                await self._renew()

    def _note_sleep(self) -> None:
        if slept_ms := round(self._slept() * 1000):
            _log.info("slept", ms=slept_ms)
            self._untold_sleep_ms += slept_ms

    def _note_waiting(self, reported: Reported) -> None:
        if reported.waiting:
            self._claimable()


@contextmanager
def _translated() -> Iterator[None]:
    """The office's refusals in the agent's own words."""
    try:
        yield
    except CommandError as err:
        if err.code is ErrorCode.SUPERSEDED:
            raise Superseded(str(err)) from err
        if err.code in (ErrorCode.CONFLICT, ErrorCode.SESSION_NOT_FOUND):
            raise ClaimLost(str(err)) from err
        raise
