"""The way from the board to its offices: jobs and attempts as they change, pool and breakers as they stand."""

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Final
from uuid import UUID

from semo_console.state import news
from semo_console.state.console import Change
from semo_console.state.effects import BoardOrder, CancelJob, JudgeJob, ResetBreaker, RetryJob
from semo_office.breaker import BreakerStore
from semo_office.errors import LinkError, OfficeError
from semo_office.jobs import JobService
from semo_office.link import Link, eq
from semo_office.models import Job, JobAttempt
from semo_office.offices import OfficeStore
from semo_office.pool import SessionPoolManager

READ_AGAIN_S: Final = 30.0
AT_MOST_EVERY_S: Final = 1.0
RETRY_S: Final = 2.0
STANDING_ON: Final = ("agent_sessions", "circuit_breakers", "pool_decisions", "pool_settings", "pool_spares")

Start = Callable[[Coroutine[Any, Any, None], str], None]


class BoardFeed:
    """Tells changes of the console's state; `start` runs a task of the wire for as long as it lives."""

    def __init__(self, link: Link, tell: Callable[[Change], None], start: Start) -> None:
        self._link = link
        self._tell = tell
        self._start = start
        self._jobs = JobService(link)
        self._breakers = BreakerStore(link)
        self._pool = SessionPoolManager(link)
        self._offices = OfficeStore(link)

    def follow(self, office_id: UUID) -> None:
        """Tell this office's jobs, pool and breakers from now on."""
        self._start(self._follow_jobs(office_id), f"jobs of {office_id}")
        self._start(self._follow_attempts(office_id), f"attempts of {office_id}")
        self._start(self._follow_standing(office_id), f"pool and breakers of {office_id}")

    async def perform(self, order: BoardOrder) -> None:
        """What was refused is told in a sentence."""
        try:
            await self._carry_out(order)
        except OfficeError as err:
            self._tell(partial(news.tell, sentence=str(err)))

    async def _carry_out(self, order: BoardOrder) -> None:
        match order:
            case CancelJob(job_id):
                await self._jobs.cancel_job(job_id)
            case RetryJob(job_id):
                await self._jobs.retry_job(job_id)
            case JudgeJob(job_id, done):
                await self._jobs.review_job(job_id, "done" if done else "failed")
            case ResetBreaker(office_id, host_id, profile):
                await self._breakers.reset(office_id, host_id, profile)

    async def _follow_jobs(self, office_id: UUID) -> None:
        rows = self._link.watch("job_queue", office_id=office_id, key="id", filters=[eq("office_id", office_id)])
        async with aclosing(rows):
            async for row in rows:
                self._tell(partial(news.see_job, job=Job.model_validate(row)))

    async def _follow_attempts(self, office_id: UUID) -> None:
        rows = self._link.watch("job_attempts", office_id=office_id, key="id", filters=[eq("office_id", office_id)])
        async with aclosing(rows):
            async for row in rows:
                self._tell(partial(news.see_attempt, attempt=JobAttempt.model_validate(row)))

    async def _follow_standing(self, office_id: UUID) -> None:
        """Read at every change of what pool and breakers hang on, but not more often than an eye can follow."""
        async with self._link.expect(office_id, *((table, None) for table in STANDING_ON)) as change:
            while True:
                try:
                    await self._read(office_id)
                except LinkError:
                    await self._link.timing.sleep(RETRY_S)
                    continue
                await self._link.timing.sleep(AT_MOST_EVERY_S)
                await change.next(READ_AGAIN_S)

    async def _read(self, office_id: UUID) -> None:
        hosts = await self._offices.hosts(office_id)
        self._tell(partial(news.see_hosts, names={placed.host.id: placed.host.name for placed in hosts}))
        breakers = await self._breakers.breakers(office_id)
        self._tell(partial(news.see_breakers, office_id=office_id, breakers=breakers))
        self._tell(partial(news.see_pool, status=await self._pool.get_pool_status(office_id)))
