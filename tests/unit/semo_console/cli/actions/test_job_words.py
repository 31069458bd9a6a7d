from uuid import UUID

import pytest

from semo_console.cli.actions.job_words import FullJob
from semo_console.cli.actions.targets import choose_job
from semo_console.errors import UnclearTarget
from semo_office.models import AttemptStatus, Job, JobAttempt, JobStatus
from tests.unit.semo_office.fakes import EPOCH

ONE, OTHER = UUID("aaaa0000-0000-4000-8000-000000000001"), UUID("aabb0000-0000-4000-8000-000000000002")


def job(job_id: UUID = ONE, *, status: JobStatus = JobStatus.READY, depends_on: tuple[UUID, ...] = ()) -> Job:
    return Job(
        id=job_id,
        office_id=UUID(int=9),
        role="BE",
        title=f"Job {str(job_id)[-1]}",
        description="make test",
        status=status,
        depends_on=depends_on,
        priority=100,
        created_by=UUID(int=8),
        created_at=EPOCH,
        version=1,
    )


def attempt(number: int, exit_status: int) -> JobAttempt:
    return JobAttempt(
        id=UUID(int=number),
        job_id=ONE,
        attempt=number,
        round=1,
        status=AttemptStatus.DONE if exit_status == 0 else AttemptStatus.FAILED,
        evidence={"exit_status": exit_status},
        started_at=EPOCH,
    )


@pytest.mark.parametrize("chosen", ["aaaa", " AAAA ", str(ONE)])
def test_a_job_is_chosen_by_the_beginning_of_its_id(chosen: str) -> None:
    assert choose_job([job(ONE), job(OTHER)], chosen).id == ONE


def test_a_beginning_that_two_jobs_share_names_both() -> None:
    with pytest.raises(UnclearTarget, match=r"aaaa0000 \(Job 1, ready\), aabb0000 \(Job 2, ready\)"):
        choose_job([job(ONE), job(OTHER)], "aa")


@pytest.mark.parametrize("chosen", ["", "ffff"])
def test_a_job_that_is_not_there_is_said_to_be_missing(chosen: str) -> None:
    with pytest.raises(UnclearTarget, match="There is no job"):
        choose_job([job()], chosen)


def test_the_evidence_of_a_job_is_that_of_its_last_attempt() -> None:
    told = FullJob(job(status=JobStatus.DONE), [attempt(1, 3), attempt(2, 0)], [], True).to_json()
    assert told["evidence"] == {"exit_status": 0}
    assert (told["id"], told["status"]) == (str(ONE), "done")


def test_a_job_that_was_never_tried_has_no_evidence() -> None:
    told = FullJob(job(depends_on=(OTHER,)), [], [job(OTHER, status=JobStatus.FAILED)], True).to_json()
    assert (told["evidence"], told["attempts"]) == (None, [])
    assert told["dependencies"] == [{"id": str(OTHER), "title": "Job 2", "status": "failed"}]
