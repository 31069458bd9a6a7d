"""One session while it lives: its tab, what is seen of it, the turn that we began in it, and its locks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from pydantic import JsonValue

from semo_agent import detector
from semo_agent.detector import Sighting
from semo_agent.errors import Stopping
from semo_agent.evidence import Evidence
from semo_agent.office import Claim
from semo_agent.profiles.profile import Profile
from semo_agent.stopping import Stop
from semo_agent.terminals.base import Changed, ExitStatus, MarkSeen, Position
from semo_office.models import SessionReport, SessionStatus

TITLE_EVERY_S: Final = 1.0
TITLE_LONGEST: Final = 500

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt of ours. `number`: which turn of the session it becomes; `text_bytes`: bytes of the prompt as typed.

    `echo_ends`: the row after the typed text, where the output begins if the program does not say. `entered`: its
    Enter was sent, or about to be (at `entered_at`, s of the monotonic clock); before that it can't have begun.
    `limit_ms`: how long the turn may run, None: as it likes.
    """

    claim: Claim
    number: int
    text_bytes: int
    bracketed: bool
    entered: bool = False
    echo_ends: Position | None = None
    cancelled: bool = False
    limit_ms: int | None = None
    entered_at: float = 0.0


class Session:
    """A session of this host.

    `lane` is held by a prompt from its claim to its acceptance. `writing` covers whatever is typed in one go, so that
    no bytes ever come between. `reporting` keeps reports in the order in which the states were seen, `keeping` does so
    for the record on disk, `spooling` for what hooks told. `pid` is the process that the terminal started, 0: not yet.
    `ending` is the reason if we end the program, `parting_output` what its turn had printed.
    """

    def __init__(self, session_id: UUID, profile: Profile, *, clock: Clock, stop: Stop) -> None:
        self.id = session_id
        self.profile = profile
        self.tab_id: str | None = None
        self.pid = 0
        self.mark_id: str | None = None
        self.sighting = Sighting(since=clock())
        self.turn: Turn | None = None
        self.ending: str | None = None
        self.parting_output: dict[str, JsonValue] | None = None
        self.lane = asyncio.Lock()
        self.writing = asyncio.Lock()
        self.reporting = asyncio.Lock()
        self.keeping = asyncio.Lock()
        self.spooling = asyncio.Lock()
        self._clock = clock
        self._stop = stop
        self._happened = asyncio.Event()
        self._reported = SessionReport()
        self._title_reported_at = float("-inf")

    @property
    def turn_runs(self) -> bool:
        """A prompt of ours was typed and its turn is not over."""
        return (
            self.turn is not None and self.sighting.finished_turn(self.turn.number) is None and not self.sighting.over
        )

    @property
    def idle(self) -> bool:
        """At the prompt, with nothing of ours on its way."""
        return self.sighting.status is SessionStatus.READY and self.sighting.turn is None and not self.turn_runs

    @property
    def end_is_told(self) -> bool:
        """The office knows that the session has ended."""
        return self._reported.status is SessionStatus.TERMINATED

    @property
    def lasting_facts(self) -> Sighting:
        """What is worth keeping on disk: a title is not, it may change many times a second, and others' marks."""
        return replace(self.sighting, title="", marks_seen=0, hooks_seen=0)

    def restore(self, sighting: Sighting, mark_id: str | None) -> None:
        """Go on from what an earlier process of the agent knew."""
        self.sighting, self.mark_id = sighting, mark_id

    def observe(self, event: Evidence) -> None:
        """Take in one event. Marks in the output of a program that tells its state by hooks are somebody else's."""
        is_foreign = isinstance(event, MarkSeen) and self.profile.hooks is not None
        if not isinstance(event, Changed) and not is_foreign:
            self._see(detector.observe(self.sighting, event, now=self._clock(), mark_id=self.mark_id))
        self._tell()

    def end(self, exit_status: ExitStatus, reason: str) -> None:
        """The program is gone, whatever the terminal has said of it so far."""
        self._see(detector.ended(self.sighting, exit_status, reason, now=self._clock()))
        self._tell()

    def change_turn(self, turn: Turn | None) -> None:
        """Set the turn that is ours."""
        self.turn = turn
        self._tell()

    async def until(self, holds: Callable[[], bool], timeout: float | None = None) -> None:
        """Wait until it holds; looked at after every event. timeout: s. Raises TimeoutError, and Stopping."""
        async with asyncio.timeout(timeout):
            while not holds():
                if self._stop:
                    raise Stopping("The agent stops.")
                await self._happened.wait()

    async def until_kept_is_old(self, kept: Sighting) -> None:
        """Wait until there is something new to keep, or no need to keep anything. Raises Stopping."""
        await self.until(lambda: self.lasting_facts != kept or self.end_is_told)

    async def next_event(self, timeout: float) -> None:
        """Wait for the next event, at most `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                await self._happened.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """Make everybody who waits look again."""
        self._tell()

    def news(self, *, closing_turn: bool = False) -> SessionReport | None:
        """What the office does not know yet; None: nothing.

        The end of a turn is told together with its result: until then (`closing_turn`) the session is not called ready,
        or it would be given the next prompt before the result of this one.
        """
        told = (
            SessionReport(iterm_tab_id=self.tab_id) if self.tab_id != self._reported.iterm_tab_id else SessionReport()
        )
        if self._state_is_news and (closing_turn or not self._state_goes_with_a_result):
            told = told.model_copy(update=self._state())
        if self.news_later() == 0:
            told = told.model_copy(update={"title": self._title})
        return None if told == SessionReport() else told

    def news_later(self) -> float | None:
        """In how many s a held back title may be told. None: there is none."""
        if self._title in ("", self._reported.title):
            return None
        return max(self._title_reported_at + TITLE_EVERY_S - self._clock(), 0.0)

    def reported(self, report: SessionReport) -> None:
        """The office knows this now."""
        known = {name: value for name, value in report if value is not None}
        if report.status is not None:
            known["reason"] = report.reason
        self._reported = self._reported.model_copy(update=known)
        if report.title is not None:
            self._title_reported_at = self._clock()

    def reported_executing(self) -> None:
        """The office set the session `executing` when it noted that the prompt was accepted."""
        self.reported(SessionReport(status=SessionStatus.EXECUTING))

    @property
    def _title(self) -> str:
        return self.sighting.title[:TITLE_LONGEST]

    @property
    def _state_is_news(self) -> bool:
        known = (self._reported.status, self._reported.reason)
        return (self.sighting.status, self.sighting.reason) != known

    @property
    def _state_goes_with_a_result(self) -> bool:
        return self.turn is not None and self.sighting.status in (SessionStatus.READY, SessionStatus.TERMINATED)

    def _state(self) -> dict[str, object]:
        exit_status = self.sighting.exit or ExitStatus()
        return {
            "status": self.sighting.status,
            "status_source": self.sighting.source,
            "reason": self.sighting.reason,
            "exit_status": exit_status.code,
            "exit_signal": exit_status.signal,
        }

    def _see(self, sighting: Sighting) -> None:
        if sighting.over and not self.sighting.over and self.ending:
            sighting = replace(sighting, reason=self.ending)
        self.sighting = sighting

    def _tell(self) -> None:
        happened, self._happened = self._happened, asyncio.Event()
        happened.set()
