"""Several jobs written down together, which wait for one another by names of their own."""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import NewJob
from semo_office.models import Job

PLAN_BYTES_MAX: Final = 8 * 1024 * 1024
_KEY: Final = "job"


class PlannedJob(BaseModel):
    """One job of a plan.

    `name` is how the others speak of it; without a title it is the title too. `depends_on` holds names of the plan,
    else ids of jobs in the office or beginnings of them. `turn_limit`: s. `agent`: a member of the team.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=200)
    role: str | None = None
    title: str = ""
    description: str
    depends_on: tuple[str, ...] = ()
    priority: int = Field(default=100, ge=-1_000_000, le=1_000_000)
    profile: str | None = Field(default=None, min_length=1, max_length=40)
    turn_limit: float | None = Field(default=None, ge=1, le=604_800, allow_inf_nan=False)
    agent: str | None = None

    @property
    def heading(self) -> str:
        return self.title or self.name or ""


def read_plan(text: str) -> list[PlannedJob]:
    """Jobs as TOML (`[[job]]` tables) or as JSON Lines (an object a line).

    Raises CommandError(INVALID_PAYLOAD) with the place of the first mistake.
    """
    rows = _json_rows(text) if text.lstrip()[:1] == "{" else _toml_rows(text)
    if not rows:
        raise _refusal("There is no job in it. A job is a [[job]] table of TOML, or an object on a line of its own.")
    planned = [_planned(where, row) for where, row in rows]
    _refuse_twins(planned)
    return planned


def resolve_plan(
    planned: Sequence[PlannedJob],
    office_id: UUID,
    *,
    find_job: Callable[[str], UUID],
    find_agent: Callable[[str], UUID],
    any_role: bool = False,
) -> list[NewJob]:
    """The jobs with ids of their own. `find_job`, `find_agent`: look in the office for what the plan does not name."""
    ids = [uuid4() for _ in planned]
    named = {job.name: job_id for job, job_id in zip(planned, ids, strict=True) if job.name is not None}
    return [
        NewJob(
            id=job_id,
            office_id=office_id,
            role=job.role,
            title=job.heading,
            description=job.description,
            depends_on=tuple(named[name] if name in named else find_job(name) for name in job.depends_on),
            priority=job.priority,
            profile=job.profile,
            turn_limit_ms=None if job.turn_limit is None else round(job.turn_limit * 1000),
            agent_id=None if job.agent is None else find_agent(job.agent),
            any_role=any_role,
            name=job.name,
        )
        for job, job_id in zip(planned, ids, strict=True)
    ]


def in_graph_order(jobs: Sequence[Job]) -> list[Job]:
    """Every job after all that it waits for; of those that could be next, the one that came first."""
    known = {job.id: number for number, job in enumerate(jobs)}
    missing = {job.id: {before for before in job.depends_on if before in known} for job in jobs}
    after: dict[UUID, list[UUID]] = {}
    for job in jobs:
        for before in missing[job.id]:
            after.setdefault(before, []).append(job.id)
    free = [known[job_id] for job_id, left in missing.items() if not left]
    heapify(free)
    ordered: list[Job] = []
    while free:
        job = jobs[heappop(free)]
        ordered.append(job)
        for waiting in after.get(job.id, ()):
            missing[waiting].discard(job.id)
            if not missing[waiting]:
                heappush(free, known[waiting])
    return ordered


def _toml_rows(text: str) -> list[tuple[str, Mapping[str, JsonValue]]]:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise _refusal(f"It is neither TOML nor JSON Lines: {str(err).rstrip('.')}.") from err
    rows = found.pop(_KEY, [])
    if found:
        raise _refusal(f"There is no key {next(iter(found))!r}; a plan has [[job]] tables.")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _refusal("`job` is written [[job]], one table for each job.")
    return [(f"Job {number}", row) for number, row in enumerate(rows, 1)]


def _json_rows(text: str) -> list[tuple[str, Mapping[str, JsonValue]]]:
    return [(f"Line {number}", _json_row(number, line)) for number, line in _filled(text)]


def _json_row(number: int, line: str) -> Mapping[str, JsonValue]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as err:
        raise _refusal(f"Line {number} is not JSON: {err.msg} at column {err.colno}.") from err
    if not isinstance(row, dict):
        raise _refusal(f"Line {number} is not a JSON object.")
    return row


def _filled(text: str) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _planned(where: str, row: Mapping[str, JsonValue]) -> PlannedJob:
    try:
        job = PlannedJob.model_validate(row)
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        said = row.get("name") or row.get("title")
        of_which = f" ({said})" if isinstance(said, str) else ""
        raise _refusal(f"{where}{of_which}: {_in_words(first['type'], key, first['msg'])}") from err
    if not job.heading:
        raise _refusal(f"{where}: it needs a title or a name.")
    return job


def _in_words(kind: str, key: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"there is no key {key!r}; a job has {', '.join(PlannedJob.model_fields)}."
    if kind == "tuple_type":
        return f"{key} is a list, such as ['build']."
    if kind == "missing":
        return f"the {key} is missing."
    return f"{key}: {message[:1].lower()}{message[1:]}."


def _refuse_twins(planned: Sequence[PlannedJob]) -> None:
    seen: set[str] = set()
    for job in planned:
        if job.name is not None and job.name in seen:
            raise _refusal(f"Two jobs are called {job.name!r}; the others could not tell them apart.")
        seen.add(job.name or "")


def _refusal(sentence: str) -> CommandError:
    return CommandError(ErrorCode.INVALID_PAYLOAD, sentence)
