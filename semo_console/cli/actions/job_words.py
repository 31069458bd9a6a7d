"""A job in the words that a person reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from semo_console.cli.actions.wording import SHORT_ID, remark, say
from semo_office.jobs import JobService
from semo_office.models import AttemptStatus, Job, JobAttempt, JobStatus
from semo_office.verdict import result_text

JOB_WORDS: dict[JobStatus, str] = {
    JobStatus.PENDING: "waits",
    JobStatus.READY: "ready",
    JobStatus.PROCESSING: "working",
    JobStatus.NEEDS_REVIEW: "review",
    JobStatus.DONE: "done",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "cancelled",
}
_WAITS_FOR_A_SERVER = (JobStatus.PENDING, JobStatus.READY, JobStatus.PROCESSING)


@dataclass(frozen=True)
class FullJob:
    """A job with its attempts and the jobs that it waits for."""

    job: Job
    attempts: Sequence[JobAttempt]
    dependencies: Sequence[Job]
    is_led: bool
    """Whether a server runs the office's jobs now."""

    @classmethod
    async def read(cls, service: JobService, job: Job, known: Sequence[Job]) -> "FullJob":
        """`known`: jobs among which its dependencies are."""
        attempts = await service.get_attempts(job.id)
        is_led = await service.is_led(job.office_id)
        return cls(job, attempts, [other for other in known if other.id in job.depends_on], is_led)

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


def tell_job(full: FullJob) -> None:
    """Print all that is known of it."""
    job = full.job
    say(f"{job.id}  {word_of(job)}")
    say(f"{job.role}: {job.title}  ({job.profile})")
    if job.reason:
        say(f"because: {job.reason}")
    if job.review_note and job.review_note != job.reason:
        say(f"reviewed: {job.review_note}")
    for dependency in full.dependencies:
        say(f"after {short_job(dependency)} {dependency.title}: {word_of(dependency)}")
    for attempt in full.attempts:
        _tell_attempt(attempt)
    if job.status is JobStatus.NEEDS_REVIEW:
        remark(f"`semo job review {short_job(job)} done|failed|retry` decides.")
    tell_when_nobody_leads(full)


def tell_when_nobody_leads(full: FullJob) -> None:
    if full.job.status in _WAITS_FOR_A_SERVER and not full.is_led:
        remark("No server runs the jobs of this office now; `semo serve` starts one.")


def in_words(full: FullJob) -> str:
    """What it does now, as a sentence."""
    job = full.job
    if job.status is JobStatus.PENDING:
        waited_for = listed(d for d in full.dependencies if d.status is not JobStatus.DONE)
        return f"Job {short_job(job)} waits for {waited_for}."
    return f"Job {short_job(job)}: {word_of(job)}."


def word_of(job: Job) -> str:
    if job.status is JobStatus.PROCESSING and job.cancel_requested_at is not None:
        return "stopping"
    return JOB_WORDS[job.status]


def short_job(job: Job) -> str:
    return str(job.id)[:SHORT_ID]


def listed(jobs: Iterable[Job]) -> str:
    return ", ".join(f"{short_job(job)} ({job.title}, {word_of(job)})" for job in jobs)


def _tell_attempt(attempt: JobAttempt) -> None:
    where = f" in session {str(attempt.session_id)[:SHORT_ID]}" if attempt.session_id else ""
    say(f"attempt {attempt.attempt}{where}: {_ending(attempt)}")
    text = result_text(attempt.evidence)
    for line in text.split("\n") if text else ():
        say(f"  {line}")


def _ending(attempt: JobAttempt) -> str:
    if attempt.status is AttemptStatus.RUNNING:
        return "working"
    word = "review" if attempt.status is AttemptStatus.NEEDS_REVIEW else str(attempt.status)
    return f"{word}, {attempt.reason}" if attempt.reason else word
