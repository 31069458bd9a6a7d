"""Pool, breakers and jobs of the offices: what the board shows beside the sessions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from semo_office.breaker import Breaker, CircuitState
from semo_office.models import AttemptStatus, Job, JobAttempt, JobStatus
from semo_office.plan import in_graph_order
from semo_office.pool import PoolStatus


class Tab(Enum):
    """A page of the board."""

    POOL = "POOL"
    BREAKERS = "BREAKERS"
    JOBS = "JOBS"


@dataclass(frozen=True)
class PlacedJob:
    """A job in the order of its graph; `depth`: how many jobs it waits for one after the other."""

    job: Job
    depth: int


@dataclass(frozen=True)
class SeenBreaker:
    """A breaker as it was read in one of the offices of its host."""

    office_id: UUID
    breaker: Breaker
    read_at: datetime

    @property
    def key(self) -> str:
        return f"{self.breaker.host_id} {self.breaker.profile}"

    @property
    def paused(self) -> bool:
        return self.breaker.state is not CircuitState.CLOSED

    def retry_in(self, now: datetime) -> timedelta | None:
        """Until the first probe; None: no time is set. The office said how long, so no clocks are compared."""
        if self.breaker.retry_in_ms is None:
            return None
        return max(timedelta(milliseconds=self.breaker.retry_in_ms) - (now - self.read_at), timedelta())


@dataclass(frozen=True)
class Board:
    """`attempts`: the latest of each job. `breakers` and `pools` by office, as they were read last."""

    jobs: Mapping[UUID, Job] = field(default_factory=dict)
    attempts: Mapping[UUID, JobAttempt] = field(default_factory=dict)
    breakers: Mapping[UUID, tuple[SeenBreaker, ...]] = field(default_factory=dict)
    pools: Mapping[UUID, PoolStatus] = field(default_factory=dict)
    hosts: Mapping[UUID, str] = field(default_factory=dict)
    """Names of hosts."""

    def see_job(self, job: Job) -> "Board":
        known = self.jobs.get(job.id)
        if known is not None and known.version > job.version:
            return self
        return replace(self, jobs={**self.jobs, job.id: job})

    def see_attempt(self, attempt: JobAttempt) -> "Board":
        known = self.attempts.get(attempt.job_id)
        if known is not None and _freshness(known) > _freshness(attempt):
            return self
        return replace(self, attempts={**self.attempts, attempt.job_id: attempt})

    def see_breakers(self, office_id: UUID, breakers: Iterable[Breaker], now: datetime) -> "Board":
        seen = tuple(SeenBreaker(office_id, breaker, now) for breaker in breakers)
        return replace(self, breakers={**self.breakers, office_id: seen})

    def see_pool(self, status: PoolStatus) -> "Board":
        return replace(self, pools={**self.pools, status.office_id: status})

    def see_hosts(self, names: Mapping[UUID, str]) -> "Board":
        return replace(self, hosts={**self.hosts, **names})

    @property
    def job_counts(self) -> Counter[JobStatus]:
        return Counter(job.status for job in self.jobs.values())

    def listed_breakers(self) -> list[SeenBreaker]:
        """All that ever failed, those that are paused first; each once, though several offices have it."""
        found = {seen.key: seen for office in self.breakers.values() for seen in office}
        return sorted(found.values(), key=lambda seen: (not seen.paused, seen.key))

    def paused(self) -> list[SeenBreaker]:
        return [seen for seen in self.listed_breakers() if seen.paused]

    def listed_jobs(self) -> list[PlacedJob]:
        """Jobs so that each comes after all that it waits for, otherwise oldest first."""
        placed: dict[UUID, PlacedJob] = {}
        for job in in_graph_order(sorted(self.jobs.values(), key=lambda job: (job.created_at, job.id))):
            depth = max((placed[each].depth + 1 for each in job.depends_on if each in placed), default=0)
            placed[job.id] = PlacedJob(job, depth)
        return list(placed.values())

    def keys(self, tab: Tab) -> list[str]:
        """What can be chosen on a page, row by row."""
        match tab:
            case Tab.POOL:
                return []
            case Tab.BREAKERS:
                return [seen.key for seen in self.listed_breakers()]
            case Tab.JOBS:
                return [str(placed.job.id) for placed in self.listed_jobs()]

    def row_of(self, tab: Tab, key: str | None) -> int:
        """The row that is chosen: the first where that one is not there (any more)."""
        keys = self.keys(tab)
        return keys.index(key) if key in keys else 0


def _freshness(attempt: JobAttempt) -> tuple[int, bool]:
    return attempt.attempt, attempt.status is not AttemptStatus.RUNNING
