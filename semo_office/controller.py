"""Leads one office while this server holds its lease: begins jobs that are ready, and goes on with those that run."""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from semo_office.agents import AgentService
from semo_office.errors import CommandError, LinkError, TermEnded
from semo_office.jobs import DueJob, JobService
from semo_office.leadership import DEPOSED, Leadership, Term
from semo_office.link import Hint, Link, LinkState
from semo_office.models import Job, JobStatus
from semo_office.orchestrator import ProfileCatalog, SessionOrchestrator
from semo_office.pool import SessionPoolManager
from semo_office.stopping import Stop, Tasks, rings
from semo_office.upkeep import Upkeep

JOBS_AT_ONCE: Final = 24
"""Also what waits for a session, for a breaker or for an answer is one: the pool says how many really work."""
POLL_LIVE_S: Final = 15.0
POLL_BLIND_S: Final = 2.0
SETTLE_S: Final = 5.0

_log = structlog.get_logger(__name__)


class Controller:
    """Stands by, leads, and stands by again. `note`: told whenever it begins or ends to lead."""

    def __init__(
        self,
        link: Link,
        office_id: UUID,
        instance: UUID,
        *,
        profiles: ProfileCatalog,
        stop: Stop,
        clock: Callable[[], float],
        note: Callable[[], None],
    ) -> None:
        self._link = link
        self._profiles = profiles
        self._office_id = office_id
        self._leadership = Leadership(link, office_id, instance, stop=stop, clock=clock)
        self._note = note
        self._leads = False

    @property
    def leads(self) -> bool:
        return self._leads

    async def run(self) -> None:
        """Until the stop, or until the server is not admitted to the office any more."""
        while (term := await self._leadership.await_term()) is not None:
            self._tell(leads=True, epoch=term.epoch)
            await self._lead(term)
            self._tell(leads=False, epoch=term.epoch)

    async def _lead(self, term: Term) -> None:
        tasks = Tasks(term.over)
        tasks.start(f"lease of office {self._office_id}", self._keep(term))
        pool = SessionPoolManager(self._link)
        upkeep = Upkeep(self._link, term, pool)
        assignments = Assignments(self._link, pool, self._profiles, term, tasks)
        tasks.start(f"jobs of office {self._office_id}", assignments.run())
        tasks.start(f"spares of office {self._office_id}", upkeep.refill())
        tasks.start(f"idle sessions of office {self._office_id}", upkeep.clean_up())
        await term.over.wait()
        await tasks.settle(SETTLE_S)
        # After its last write: a lease that is left early would let two write.
        await self._leadership.leave(term)
        if tasks.failure is not None:
            raise tasks.failure

    async def _keep(self, term: Term) -> None:
        await self._leadership.keep(term)
        term.over.set()

    def _tell(self, *, leads: bool, epoch: int) -> None:
        _log.info("leads" if leads else "leads_no_more", office_id=str(self._office_id), epoch=epoch)
        self._leads = leads
        self._note()


class Assignments:
    """The jobs of one term. A hint only says "look"; whatever woke it, the same loop looks at what is open."""

    def __init__(
        self, link: Link, pool: SessionPoolManager, profiles: ProfileCatalog, term: Term, tasks: Tasks
    ) -> None:
        self._link = link
        self._term = term
        self._tasks = tasks
        self._jobs = JobService(link)
        self._orchestrator = SessionOrchestrator(pool, self._jobs, AgentService(link), profiles, term)
        self._running: set[UUID] = set()
        self._bell = asyncio.Event()

    async def run(self) -> None:
        """Until the term is over."""
        self._term.over.then(self._bell.set)
        hints = self._link.subscribe(self._term.office_id)
        hints.add(self)
        try:
            while not self._term.over:
                await rings(self._bell, await self._look())
        finally:
            hints.remove(self)

    def on_hint(self, hint: Hint) -> None:
        if hint.table == "job_queue":
            self._bell.set()

    def on_gap(self) -> None:
        self._bell.set()

    def on_change(self) -> None:
        self._bell.set()

    async def _look(self) -> float:
        """Begin what can begin; how long to wait for the next look, s."""
        try:
            open_jobs = await self._jobs.open_jobs(self._term)
        except LinkError as err:
            _log.warning("jobs_not_read", office_id=str(self._term.office_id), error=type(err).__name__)
            return POLL_BLIND_S
        except CommandError as err:
            self._end_if_deposed(err)
            return 0.0
        for due in open_jobs:
            self._take_up(due)
        return self._next_look(open_jobs)

    def _take_up(self, due: DueJob) -> None:
        job = due.job
        # One that another leader began runs already, whether there is room or not.
        begins = due.due_in_ms == 0 and len(self._running) < JOBS_AT_ONCE
        if job.id not in self._running and (job.status is JobStatus.PROCESSING or begins):
            self._running.add(job.id)
            self._tasks.start(f"job {job.id}", self._execute(job))
        if job.cancel_requested_at is not None:
            self._orchestrator.cancel_job(job.id)

    async def _execute(self, job: Job) -> None:
        try:
            await self._orchestrator.execute_job(job)
        except TermEnded:
            _log.info("job_left_to_the_next_leader", job_id=str(job.id))
        except CommandError as err:
            self._end_if_deposed(err)
        finally:
            self._running.discard(job.id)
            # There is room again.
            self._bell.set()

    def _end_if_deposed(self, err: CommandError) -> None:
        if err.code not in DEPOSED:
            raise err
        _log.warning("deposed", office_id=str(self._term.office_id), epoch=self._term.epoch)
        self._term.over.set()

    def _next_look(self, open_jobs: list[DueJob]) -> float:
        poll = POLL_LIVE_S if self._link.status.state is LinkState.LIVE else POLL_BLIND_S
        return min([poll, *(due.due_in_ms / 1000 for due in open_jobs if due.due_in_ms > 0)])
