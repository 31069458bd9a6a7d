"""`/api/offices/{office_id}/jobs`: work that the office does by itself."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response

from semo_office.api.bodies import AddedJob, JobDetail, JobReview, Jobs
from semo_office.api.desk import AtDesk, Desk, IdempotencyKey, command_id
from semo_office.api.problems import not_found
from semo_office.api.routes import READING, WRITING, Responses
from semo_office.jobs import NewJob
from semo_office.models import Job, JobStatus

router = APIRouter(prefix="/api/offices/{office_id}/jobs", tags=["jobs"])

_LOCATION: Final = {"Location": {"schema": {"type": "string"}, "description": "The job."}}
_ADDED: Final[Responses] = {**WRITING, 201: {"description": "It is added, or was.", "headers": _LOCATION}}


@router.post("", responses=_ADDED, status_code=201)
async def add_job(desk: AtDesk, body: AddedJob, response: Response, key: IdempotencyKey = None) -> Job:
    """Add a job. It begins when the jobs that it depends on are done."""
    wanted = NewJob(**body.model_dump(exclude={"id"}), id=command_id(key, body.id), office_id=desk.office_id)
    job = await desk.jobs.add_job(wanted)
    response.headers["Location"] = f"/api/offices/{desk.office_id}/jobs/{job.id}"
    return job


@router.get("", responses=READING)
async def list_jobs(
    desk: AtDesk, status: Annotated[list[JobStatus] | None, Query(description="Only those in these states.")] = None
) -> Jobs:
    """The jobs of the office, oldest first."""
    return Jobs(jobs=await desk.jobs.get_jobs(desk.office_id, status or tuple(JobStatus)))


@router.get("/{job_id}", responses=READING)
async def get_job(desk: AtDesk, job_id: UUID) -> JobDetail:
    """One job with its attempts."""
    job = await _job(desk, job_id)
    attempts = await desk.jobs.get_attempts(job_id)
    return JobDetail(job=job, attempts=attempts, led=await desk.jobs.is_led(desk.office_id))


@router.post("/{job_id}/cancel", responses=WRITING)
async def cancel_job(desk: AtDesk, job_id: UUID) -> Job:
    """Cancel a job; what runs of it is stopped."""
    await _job(desk, job_id)
    return await desk.jobs.cancel_job(job_id)


@router.post("/{job_id}/retry", responses=WRITING)
async def retry_job(desk: AtDesk, job_id: UUID) -> Job:
    """Try a job again that failed or was cancelled."""
    await _job(desk, job_id)
    return await desk.jobs.retry_job(job_id)


@router.post("/{job_id}/review", responses=WRITING)
async def review_job(desk: AtDesk, job_id: UUID, body: JobReview) -> Job:
    """Decide on a job whose turn ended without a sign that it is done."""
    await _job(desk, job_id)
    return await desk.jobs.review_job(job_id, body.verdict, body.note)


async def _job(desk: Desk, job_id: UUID) -> Job:
    """Raises Refused (404)."""
    job = await desk.jobs.get_job(job_id)
    if job is None or job.office_id != desk.office_id:
        raise not_found("job")
    return job
