"""`semo job add`: one job by its options, or many by a file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from semo_console.cli.actions.input_file import read_text_of
from semo_console.cli.actions.job_words import FullJob, in_words, short_job, tell_when_nobody_leads, word_of
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.sending import read_text
from semo_console.cli.actions.targets import choose_job, choose_member
from semo_console.cli.actions.wording import print_json, remark, say
from semo_office.agents import AgentService
from semo_office.jobs import JobService, NewJob
from semo_office.locations import StateFolder
from semo_office.models import Job, Office, OfficeAgent
from semo_office.plan import PLAN_BYTES_MAX, PlannedJob, read_plan, resolve_plan


@dataclass(frozen=True)
class Addition:
    """What `semo job add` was told; `depends_on` are ids or their beginnings, `turn_limit` is s."""

    role: str | None
    title: str
    description: str
    depends_on: tuple[str, ...] = ()
    priority: int = 100
    profile: str | None = None
    turn_limit: float | None = None
    agent: str | None = None
    any_role: bool = False


def add_job(state_dir: Path | None, office: str | None, request: Addition, *, as_json: bool) -> None:
    """Add a job and print its id. Raises UnreadableInput, UnclearTarget, OfficeError."""
    description = read_text(request.description, sys.stdin.buffer)
    full = at_desk(StateFolder.find(state_dir), lambda desk: _add(desk, office, request, description))
    if as_json:
        print_json(full.to_json())
    else:
        say(str(full.job.id))
        remark(in_words(full))
        tell_when_nobody_leads(full)


def add_jobs(state_dir: Path | None, office: str | None, file: str, *, any_role: bool, as_json: bool) -> None:
    """Add all jobs of a file, or none, and print their ids. Raises UnreadableInput, UnclearTarget, OfficeError."""
    planned = read_plan(read_text_of(file, PLAN_BYTES_MAX))
    added = at_desk(StateFolder.find(state_dir), lambda desk: _add_all(desk, office, planned, any_role))
    if as_json:
        print_json([job.model_dump(mode="json") for job in added])
    else:
        for job in added:
            say(str(job.id))
            remark(f"Job {short_job(job)} ({job.title}): {word_of(job)}.")


async def _add(desk: OperatorDesk, named: str | None, request: Addition, description: str) -> FullJob:
    place = await _Place.find(desk, named, with_jobs=bool(request.depends_on), with_team=request.agent is not None)
    service = JobService(desk.link)
    job = await service.add_job(
        NewJob(
            office_id=place.office.id,
            role=request.role,
            title=request.title,
            description=description,
            depends_on=tuple(map(place.job_id, request.depends_on)),
            priority=request.priority,
            profile=request.profile,
            turn_limit_ms=None if request.turn_limit is None else round(request.turn_limit * 1000),
            agent_id=None if request.agent is None else place.agent_id(request.agent),
            any_role=request.any_role,
        )
    )
    return await FullJob.read(service, job, place.jobs)


async def _add_all(
    desk: OperatorDesk, named: str | None, planned: Sequence[PlannedJob], any_role: bool
) -> Sequence[Job]:
    place = await _Place.find(desk, named, with_jobs=True, with_team=True)
    jobs = resolve_plan(planned, place.office.id, find_job=place.job_id, find_agent=place.agent_id, any_role=any_role)
    return await JobService(desk.link).add_jobs(place.office.id, jobs)


@dataclass(frozen=True)
class _Place:
    """The office with what a job may name in it."""

    office: Office
    jobs: Sequence[Job]
    team: Sequence[OfficeAgent]

    @classmethod
    async def find(cls, desk: OperatorDesk, named: str | None, *, with_jobs: bool, with_team: bool) -> "_Place":
        office = await desk.find_office(named)
        jobs = await JobService(desk.link).get_jobs(office.id) if with_jobs else []
        team = await AgentService(desk.link).get_agents_by_office(office.id) if with_team else []
        return cls(office, jobs, team)

    def job_id(self, chosen: str) -> UUID:
        return choose_job(self.jobs, chosen).id

    def agent_id(self, chosen: str) -> UUID:
        return choose_member(self.team, chosen).id
