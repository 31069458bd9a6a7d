"""What the offices of the pictures do: jobs in every state, a spare that is missing, a program that is paused."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from semo_console.state import news
from semo_console.state.console import Change
from semo_office.breaker import Breaker, CircuitState
from semo_office.models import AttemptStatus, Job, JobAttempt, JobStatus
from semo_office.pool import PoolDecision, PoolStatus, RolePool
from tests.snapshot.scene import NOW, OFFICE

HOST = UUID(int=7)


def job(number: int, title: str, status: JobStatus, *after: int, role: str = "BE", reason: str | None = None) -> Job:
    """Job `number`, which waits for the jobs with the numbers `after`."""
    return Job(
        id=job_id(number),
        office_id=OFFICE.id,
        role=role,
        title=title,
        description=title,
        status=status,
        depends_on=tuple(job_id(each) for each in after),
        priority=100,
        reason=reason,
        created_by=UUID(int=9),
        created_at=NOW - timedelta(minutes=60 - number),
        started_at=NOW - timedelta(minutes=30 - number) if status is not JobStatus.PENDING else None,
        completed_at=NOW - timedelta(minutes=10 - number) if status is JobStatus.DONE else None,
        version=1,
    )


def job_id(number: int) -> UUID:
    return UUID(int=(number * 0x1C09_5EF3_0000_0000_0000_0000_0000_0001) % 2**128)


def attempt(number: int, status: AttemptStatus, session_id: UUID | None = None, **evidence: str | int) -> JobAttempt:
    return JobAttempt(
        id=UUID(int=5_000 + number),
        job_id=job_id(number),
        attempt=1,
        round=1,
        status=status,
        session_id=session_id,
        reason="exit 2" if status is AttemptStatus.FAILED else None,
        evidence=dict(evidence),
        started_at=NOW - timedelta(minutes=8),
        finished_at=None if status is AttemptStatus.RUNNING else NOW - timedelta(minutes=2),
    )


def breaker(profile: str, state: CircuitState, *, retry_in_ms: int | None = None, failures: int = 3) -> Breaker:
    return Breaker(
        host_id=HOST,
        profile=profile,
        state=state,
        failures=failures,
        failure_threshold=3,
        reset_timeout_ms=60_000,
        half_open_requests=1,
        reason="The program could not be started: 인증이 필요합니다.",
        manual=False,
        version=1,
        retry_in_ms=retry_in_ms,
    )


JOBS = (
    job(1, "Build", JobStatus.DONE),
    job(2, "결제 모듈 검토", JobStatus.NEEDS_REVIEW, role="QA", reason="It ended without the word that it is done."),
    job(3, "Unit tests", JobStatus.FAILED, 1, reason="exit 2"),
    job(4, "Release", JobStatus.PENDING, 1, 3),
    job(5, "Docs", JobStatus.PROCESSING, role="FE"),
)
POOL = PoolStatus(
    office_id=OFFICE.id,
    cap=3,
    used=2,
    idle_timeout_ms=600_000,
    spare_max_age_ms=14_400_000,
    roles=(
        RolePool(role="BE", profile="shell", wanted=1, spares=1, starting=0, in_use=1, kept=0, lost=0),
        RolePool(
            role="QA",
            profile="claude",
            wanted=1,
            spares=0,
            starting=1,
            in_use=0,
            kept=2,
            lost=1,
            last=PoolDecision(
                at=NOW - timedelta(minutes=3),
                role="QA",
                decision="cold",
                reason="cold start: the spare QA session was older than 4 h",
            ),
        ),
    ),
)


def work(session_id: UUID) -> list[Change]:
    """News that make all of it; `session_id`: who works on the fifth job."""
    said = "3 failed\nmake: *** [test] 오류 2"
    failed = attempt(3, AttemptStatus.FAILED, None, exit_status=2, duration_ms=96_000, output=said)
    return [
        *(partial(news.see_job, job=each) for each in JOBS),
        partial(news.see_attempt, attempt=failed),
        partial(news.see_attempt, attempt=attempt(5, AttemptStatus.RUNNING, session_id)),
        partial(news.see_hosts, names={HOST: "mac"}),
        partial(news.see_pool, status=POOL),
        partial(
            news.see_breakers,
            office_id=OFFICE.id,
            breakers=(
                breaker("claude", CircuitState.OPEN, retry_in_ms=41_000),
                breaker("shell", CircuitState.CLOSED, failures=1),
            ),
        ),
    ]
