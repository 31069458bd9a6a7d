"""`semo job list|show|cancel|retry|review`: an operator's jobs."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from semo_console.cli.actions.job_words import FullJob, in_words, short_job, tell_job, word_of
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.sending import read_text
from semo_console.cli.actions.targets import choose_job
from semo_console.cli.actions.wording import print_json, print_table, remark
from semo_office.jobs import JobService, Review
from semo_office.locations import StateFolder
from semo_office.models import Job, JobStatus
from semo_office.plan import in_graph_order

_ENDED = (JobStatus.DONE, JobStatus.CANCELLED)

Change = Callable[[JobService, UUID], Awaitable[Job]]


@dataclass(frozen=True)
class Selection:
    """Which jobs to list. `words`: states as a person reads them; naming one shows those that have ended, too."""

    with_ended: bool = False
    role: str | None = None
    words: tuple[str, ...] = ()

    def holds(self, job: Job) -> bool:
        if self.role is not None and job.role != self.role:
            return False
        return word_of(job) in self.words if self.words else self.with_ended or job.status not in _ENDED


def list_jobs(state_dir: Path | None, office: str | None, selection: Selection, *, as_json: bool) -> None:
    """Print the jobs, each after those that it waits for. Raises UnclearTarget, OfficeError."""
    jobs = at_desk(StateFolder.find(state_dir), lambda desk: _jobs(desk, office))
    shown = [job for job in in_graph_order(jobs) if selection.holds(job)]
    if as_json:
        print_json([job.model_dump(mode="json") for job in shown])
    elif not shown:
        remark("No such jobs. `semo job add` adds one, `semo job list --all` shows those that are done.")
    else:
        titles = {job.id: job.title for job in jobs}
        print_table([_row(job, titles) for job in shown])


def show_job(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Print one job with its attempts. Raises UnclearTarget, OfficeError."""
    full = at_desk(StateFolder.find(state_dir), lambda desk: _show(desk, office, chosen))
    if as_json:
        print_json(full.to_json())
    else:
        tell_job(full)


def cancel_job(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Cancel a job. Raises UnclearTarget, CommandError(CONFLICT)."""
    _change(state_dir, office, chosen, JobService.cancel_job, as_json=as_json)


def retry_job(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Try a job again. Raises UnclearTarget, CommandError(CONFLICT)."""
    _change(state_dir, office, chosen, JobService.retry_job, as_json=as_json)


def review_job(
    state_dir: Path | None, office: str | None, chosen: str, verdict: Review, note: str | None, *, as_json: bool
) -> None:
    """Decide on a job. Raises UnreadableInput, UnclearTarget, CommandError(CONFLICT)."""
    text = None if note is None else read_text(note, sys.stdin.buffer)

    def decide(service: JobService, job_id: UUID) -> Awaitable[Job]:
        return service.review_job(job_id, verdict, text)

    _change(state_dir, office, chosen, decide, as_json=as_json)


def _change(state_dir: Path | None, office: str | None, chosen: str, change: Change, *, as_json: bool) -> None:
    full = at_desk(StateFolder.find(state_dir), lambda desk: _changed(desk, office, chosen, change))
    if as_json:
        print_json(full.to_json())
    else:
        remark(in_words(full))


async def _jobs(desk: OperatorDesk, named: str | None) -> list[Job]:
    office = await desk.find_office(named)
    return await JobService(desk.link).get_jobs(office.id)


async def _show(desk: OperatorDesk, named: str | None, chosen: str) -> FullJob:
    jobs = await _jobs(desk, named)
    return await FullJob.read(JobService(desk.link), choose_job(jobs, chosen), jobs)


async def _changed(desk: OperatorDesk, named: str | None, chosen: str, change: Change) -> FullJob:
    jobs = await _jobs(desk, named)
    service = JobService(desk.link)
    return await FullJob.read(service, await change(service, choose_job(jobs, chosen).id), jobs)


def _row(job: Job, titles: dict[UUID, str]) -> tuple[str, ...]:
    return (short_job(job), job.role, word_of(job), job.title, job.reason or _after(job.depends_on, titles))


def _after(depends_on: Sequence[UUID], titles: dict[UUID, str]) -> str:
    return f"after {', '.join(titles[job_id] for job_id in depends_on if job_id in titles)}" if depends_on else ""
