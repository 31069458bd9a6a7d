"""What a briefing says beside the job itself, read from the office."""

from semo_office.agents import AgentService
from semo_office.briefing import Background, Report
from semo_office.jobs import JobService
from semo_office.models import AgentPersona, Job, JobAttempt, OfficeAgent
from semo_office.verdict import result_text


class BackgroundReader:
    """Persona, the results of the jobs before, and how the last try ended. Raises LinkError."""

    def __init__(self, jobs: JobService, agents: AgentService) -> None:
        self._jobs = jobs
        self._agents = agents

    async def read(self, job: Job, attempt: JobAttempt, agent: OfficeAgent | None, nonce: str | None) -> Background:
        """For this attempt, as of now. `nonce` as in Background."""
        return Background(
            nonce=nonce,
            persona=await self._persona(job, agent),
            branch=job.branch_name,
            results=await self._results(job),
            last_try=await self._last_try(attempt),
            note=job.review_note,
        )

    async def _persona(self, job: Job, agent: OfficeAgent | None) -> AgentPersona | None:
        if agent is not None:
            return await self._agents.get_persona(agent)
        return await self._agents.get_role_persona(job.office_id, job.role)

    async def _results(self, job: Job) -> tuple[Report, ...]:
        if not job.depends_on:
            return ()
        attempts = await self._jobs.get_last_attempts(job.depends_on)
        return tuple(
            Report(before.title, result_text(attempts[before.id].evidence) if before.id in attempts else "")
            for before in await self._jobs.get_jobs_by_id(job.depends_on)
        )

    async def _last_try(self, attempt: JobAttempt) -> Report | None:
        attempts = await self._jobs.get_attempts(attempt.job_id)
        before = [each for each in attempts if each.attempt < attempt.attempt]
        if not before:
            return None
        last = before[-1]
        return Report(f"It ended: {last.reason or last.status}", result_text(last.evidence))
