"""`semo job …`: an operator's jobs."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import JsonValue

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.sending import read_text
from semo_console.cli.actions.wording import SHORT_ID, print_json, print_table, remark, say
from semo_console.errors import UnclearTarget
from semo_office.jobs import JobService, NewJob
from semo_office.locations import StateFolder
from semo_office.models import AttemptStatus, Job, JobAttempt, JobStatus

JOB_WORDS: dict[JobStatus, str] = {
    JobStatus.PENDING: "waits",
    JobStatus.READY: "ready",
    JobStatus.PROCESSING: "working",
    JobStatus.NEEDS_REVIEW: "review",
    JobStatus.DONE: "done",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "cancelled",
}
_ENDED = (JobStatus.DONE, JobStatus.CANCELLED)
_WAITS_FOR_A_SERVER = (JobStatus.PENDING, JobStatus.READY, JobStatus.PROCESSING)


@dataclass(frozen=True)
class Addition:
    """What `semo job add` was told; `depends_on` are ids or their beginnings."""

    role: str
    title: str
    description: str
    depends_on: tuple[str, ...]
    priority: int


@dataclass(frozen=True)
class FullJob:
    """A job with its attempts and the jobs that it waits for."""

    job: Job
    attempts: Sequence[JobAttempt]
    dependencies: Sequence[Job]
    is_led: bool
    """Whether a server runs the office's jobs now."""

    def to_json(self) -> dict[str, JsonValue]:
        """The seed's fields, and what came of it: `evidence` is that of the last attempt."""
        return {
            **self.job.model_dump(mode="json"),
            "dependencies": [
                dependency.model_dump(mode="json", include={"id", "title", "status"})
                for dependency in self.dependencies
            ],
            "attempts": [attempt.model_dump(mode="json") for attempt in self.attempts],
            "evidence": dict(self.attempts[-1].evidence) if self.attempts else None,
            "led": self.is_led,
        }


Change = Callable[[JobService, UUID], Awaitable[Job]]


def add_job(state_dir: Path | None, office: str | None, request: Addition, *, as_json: bool) -> None:
    """Add a job and print its id. Raises UnreadableInput, UnclearTarget, OfficeError."""
    description = read_text(request.description, sys.stdin.buffer)
    full = at_desk(StateFolder.find(state_dir), lambda desk: _add(desk, office, request, description))
    if as_json:
        print_json(full.to_json())
    else:
        say(str(full.job.id))
        remark(_in_words(full))
        _tell_when_nobody_leads(full)


def list_jobs(state_dir: Path | None, office: str | None, *, with_ended: bool, as_json: bool) -> None:
    """Print the jobs, oldest first. Raises UnclearTarget, OfficeError."""
    jobs = at_desk(StateFolder.find(state_dir), lambda desk: _jobs(desk, office))
    shown = [job for job in jobs if with_ended or job.status not in _ENDED]
    if as_json:
        print_json([job.model_dump(mode="json") for job in shown])
    elif not shown:
        remark("No jobs. `semo job add` adds one, `semo job list --all` shows those that are done.")
    else:
        print_table([_row(job) for job in shown])


def show_job(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Print one job with its attempts. Raises UnclearTarget, OfficeError."""
    full = at_desk(StateFolder.find(state_dir), lambda desk: _show(desk, office, chosen))
    if as_json:
        print_json(full.to_json())
    else:
        _tell(full)


def cancel_job(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Cancel a job. Raises UnclearTarget, CommandError(CONFLICT)."""
    _change(state_dir, office, chosen, JobService.cancel_job, as_json=as_json)


def retry_job(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Try a job again. Raises UnclearTarget, CommandError(CONFLICT)."""
    _change(state_dir, office, chosen, JobService.retry_job, as_json=as_json)


def choose_job(jobs: Sequence[Job], chosen: str) -> Job:
    """The job with this id or beginning of one. Raises UnclearTarget."""
    wanted = chosen.strip().lower()
    found = [job for job in jobs if wanted and str(job.id).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnclearTarget(f"Several jobs begin with {chosen!r}: {_listed(found)}. Give more of the id.")
    raise UnclearTarget(f"There is no job {chosen!r}. `semo job list --all` lists them.")


def _change(state_dir: Path | None, office: str | None, chosen: str, change: Change, *, as_json: bool) -> None:
    full = at_desk(StateFolder.find(state_dir), lambda desk: _changed(desk, office, chosen, change))
    if as_json:
        print_json(full.to_json())
    else:
        remark(_in_words(full))


async def _add(desk: OperatorDesk, named: str | None, request: Addition, description: str) -> FullJob:
    office = await desk.find_office(named)
    service = JobService(desk.link)
    known = await service.get_jobs(office.id) if request.depends_on else []
    job = await service.add_job(
        NewJob(
            office_id=office.id,
            role=request.role,
            title=request.title,
            description=description,
            depends_on=tuple(choose_job(known, chosen).id for chosen in request.depends_on),
            priority=request.priority,
        )
    )
    return await _full(service, job, known)


async def _jobs(desk: OperatorDesk, named: str | None) -> list[Job]:
    office = await desk.find_office(named)
    return await JobService(desk.link).get_jobs(office.id)


async def _show(desk: OperatorDesk, named: str | None, chosen: str) -> FullJob:
    jobs = await _jobs(desk, named)
    return await _full(JobService(desk.link), choose_job(jobs, chosen), jobs)


async def _changed(desk: OperatorDesk, named: str | None, chosen: str, change: Change) -> FullJob:
    jobs = await _jobs(desk, named)
    service = JobService(desk.link)
    return await _full(service, await change(service, choose_job(jobs, chosen).id), jobs)


async def _full(service: JobService, job: Job, known: Sequence[Job]) -> FullJob:
    attempts = await service.get_attempts(job.id)
    is_led = await service.is_led(job.office_id)
    return FullJob(job, attempts, [other for other in known if other.id in job.depends_on], is_led)


def _row(job: Job) -> tuple[str, ...]:
    return (_short(job), job.role, _word(job), job.title, job.reason or "")


def _tell(full: FullJob) -> None:
    job = full.job
    say(f"{job.id}  {_word(job)}")
    say(f"{job.role}: {job.title}")
    if job.reason:
        say(f"because: {job.reason}")
    for dependency in full.dependencies:
        say(f"after {_short(dependency)} {dependency.title}: {_word(dependency)}")
    for attempt in full.attempts:
        _tell_attempt(attempt)
    _tell_when_nobody_leads(full)


def _tell_when_nobody_leads(full: FullJob) -> None:
    if full.job.status in _WAITS_FOR_A_SERVER and not full.is_led:
        remark("No server runs the jobs of this office now; `semo serve` starts one.")


def _tell_attempt(attempt: JobAttempt) -> None:
    where = f" in session {str(attempt.session_id)[:SHORT_ID]}" if attempt.session_id else ""
    say(f"attempt {attempt.attempt}{where}: {_ending(attempt)}")
    output = attempt.evidence.get("output")
    for line in output.split("\n") if isinstance(output, str) and output else ():
        say(f"  {line}")


def _ending(attempt: JobAttempt) -> str:
    if attempt.status is AttemptStatus.RUNNING:
        return "working"
    return f"{attempt.status}, {attempt.reason}" if attempt.reason else str(attempt.status)


def _in_words(full: FullJob) -> str:
    job = full.job
    if job.status is JobStatus.PENDING:
        return f"Job {_short(job)} waits for {_listed(d for d in full.dependencies if d.status is not JobStatus.DONE)}."
    return f"Job {_short(job)}: {_word(job)}."


def _word(job: Job) -> str:
    if job.status is JobStatus.PROCESSING and job.cancel_requested_at is not None:
        return "stopping"
    return JOB_WORDS[job.status]


def _short(job: Job) -> str:
    return str(job.id)[:SHORT_ID]


def _listed(jobs: Iterable[Job]) -> str:
    return ", ".join(f"{_short(job)} ({job.title}, {_word(job)})" for job in jobs)
