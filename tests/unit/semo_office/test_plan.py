"""Several jobs written down together: read, refused with the place of the mistake, put in order."""

from uuid import UUID

import pytest

from semo_office.errors import CommandError
from semo_office.models import Job, JobStatus
from semo_office.plan import PlannedJob, in_graph_order, read_plan, resolve_plan
from tests.unit.semo_office.fakes import EPOCH

OFFICE, THERE, BO = UUID(int=1), UUID(int=2), UUID(int=3)

TOML = """
[[job]]
name = "빌드"
role = "BE"
description = '''
make build
make 설치'''

[[job]]
name = "tests"
title = "Unit tests"
role = "QA"
description = "make test"
depends_on = ["빌드", "3f2a"]
priority = 7
turn_limit = 90
agent = "Bo"
profile = "claude"
"""


def test_a_plan_in_toml_names_its_jobs() -> None:
    build, tests = read_plan(TOML)
    assert (build.heading, build.description, build.priority) == ("빌드", "make build\nmake 설치", 100)
    assert (tests.heading, tests.depends_on, tests.turn_limit) == ("Unit tests", ("빌드", "3f2a"), 90)


def test_a_plan_in_json_lines_has_a_job_a_line() -> None:
    jobs = read_plan('{"name": "a", "role": "BE", "description": "x"}\n\n{"title": "b", "description": "y"}\n')
    assert [job.heading for job in jobs] == ["a", "b"]


def test_names_of_the_plan_become_the_ids_of_its_jobs_and_others_are_looked_for_in_the_office() -> None:
    build, tests = resolve_plan(
        read_plan(TOML),
        OFFICE,
        find_job={"3f2a": THERE}.__getitem__,
        find_agent={"Bo": BO}.__getitem__,
    )
    assert tests.depends_on == (build.id, THERE)
    assert (tests.agent_id, tests.turn_limit_ms, tests.profile, tests.office_id) == (BO, 90_000, "claude", OFFICE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no job in it"),
        ("[[jobs]]\nname = 'a'", "There is no key 'jobs'"),
        ("job = 3", "one table for each job"),
        ("[[job]\n", "neither TOML nor JSON Lines"),
        ("[[job]]\nname = 'a'", "Job 1 (a): the description is missing"),
        ("[[job]]\ndescription = 'x'", "Job 1: it needs a title or a name"),
        ("[[job]]\nname = 'a'\ndescription = 'x'\ndependson = ['b']", "Job 1 (a): there is no key 'dependson'"),
        ("[[job]]\nname = 'a'\ndescription = 'x'\nturn_limit = -5", "turn_limit: input should be greater than"),
        ("[[job]]\nname = 'a'\ndescription = 'x'\nturn_limit = nan", "turn_limit: "),
        ("[[job]]\nname = 'a'\ndescription = 'x'\ndepends_on = 'b'", "Job 1 (a): depends_on is a list"),
        ("[[job]]\nname = 'a'\ndescription = 'x'\n[[job]]\nname = 'a'\ndescription = 'y'", "Two jobs are called 'a'"),
        ('{"name": "a", "description": "x"}\n{"name": ', "Line 2 is not JSON"),
        ('{"name": "a", "description": "x"}\n[1]', "Line 2 is not a JSON object"),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_plan(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_jobs_come_after_what_they_wait_for_and_else_in_their_order() -> None:
    jobs = [_job(1, 4), _job(2), _job(3, 1, 2), _job(4), _job(5)]
    assert [job.id.int for job in in_graph_order(jobs)] == [2, 4, 1, 3, 5]


def test_a_job_that_waits_for_one_that_is_not_listed_comes_in_its_turn() -> None:
    assert [job.id.int for job in in_graph_order([_job(1, 99), _job(2)])] == [1, 2]


def test_a_planned_job_knows_no_other_keys() -> None:
    assert set(PlannedJob.model_fields) == {
        "name", "role", "title", "description", "depends_on", "priority", "profile", "turn_limit", "agent",
    }  # fmt: skip


def _job(number: int, *after: int) -> Job:
    return Job(
        id=UUID(int=number),
        office_id=OFFICE,
        role="BE",
        title=str(number),
        description="x",
        status=JobStatus.PENDING,
        depends_on=tuple(UUID(int=each) for each in after),
        priority=100,
        created_by=UUID(int=8),
        created_at=EPOCH,
        version=1,
    )
