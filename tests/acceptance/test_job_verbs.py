"""What `semo job`, `semo team`, `semo persona` and `semo office` say to a person. No server runs: nothing begins."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from semo_office.link import Link
from tests.acceptance.jobs import show
from tests.acceptance.machine import Machine

pytestmark = pytest.mark.timeout(150)

PLAN = """
[[job]]
name = "build"
role = "BE"
description = "echo 지었다"

[[job]]
name = "tests"
title = "시험"
role = "QA"
description = "make test"
depends_on = ["build"]
turn_limit = 90
priority = 5

[[job]]
name = "release"
role = "DevOps"
description = "make release"
depends_on = ["tests", "build"]
"""

CIRCLE = """
{"name": "a", "role": "BE", "description": "x", "depends_on": ["c"]}
{"name": "b", "role": "BE", "description": "x", "depends_on": ["a"]}
{"name": "c", "role": "BE", "description": "x", "depends_on": ["b"]}
{"name": "innocent", "role": "BE", "description": "x"}
"""

TABLES = ("job_queue", "office_agents", "agent_personas", "offices", "pool_spares", "agent_sessions", "agent_commands")


@pytest.fixture
def unchanged(running: Machine) -> Iterator[None]:
    """Nothing half-done: no row more or less than before."""

    async def count(link: Link) -> list[int]:
        return [len(await link.select(table)) for table in TABLES]

    before = running.ask(count)
    yield
    assert running.ask(count) == before


ADD = ("job", "add", "--role", "BE", "--title", "T", "--description")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((*ADD, " "), ("description is empty",)),
        (("job", "add", "--role", "BE", "--title", "x" * 201, "--description", "echo"), ("title of 1 to 200",)),
        ((*ADD, "echo", "--depends-on", "ffffffff"), ("There is no job",)),
        (
            ("job", "add", "--role", "BEE", "--title", "T", "--description", "echo"),
            ("the role BEE", "BE, ", "team add"),
        ),
        ((*ADD, "echo", "--profile", "clade"), ("the profile clade", "shell")),
        ((*ADD, "echo", "--turn-limit", "-1"), ("--turn-limit", "greater than or equal to 1")),
        (("job", "add", "--role", "BE", "--title", "두\n줄", "--description", "x"), ("one line each",)),
        (("pool", "set", "BE=1", "--profile", "clade"), ("the profile clade", "shell")),
        ((*ADD, "echo", "--agent", "Nobody"), ("Nobody of the team is called 'Nobody'", "team add")),
        (("team", "add", "--role", ""), ("role is empty",)),
        (("team", "remove", "Nobody"), ("Nobody of the team is called",)),
        (("persona", "show", "--role", "BEE"), ("Nothing is said of the role 'BEE'", "BE, ")),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    running: Machine, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert running.semo(*arguments).refused_with(*parts)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("plan", "parts"),
    [
        (CIRCLE, ("wait for one another for ever", " after ")),
        (PLAN.replace('"tests", "build"', '"test"'), ("There is no job 'test'",)),
        (PLAN.replace("make release", "x" * 2_000_000), ("description of release has 2000000 bytes", "file")),
        (PLAN.replace("DevOps", "DevOpps"), ("Job 3 (release): Nobody here has the role DevOpps",)),
    ],
    ids=["a circle", "an unknown dependency", "2 MB", "an unknown role"],
)
def test_a_plan_with_a_mistake_adds_nothing(running: Machine, plan: str, parts: tuple[str, ...]) -> None:
    refused = running.semo("job", "add", "--file", "-", stdin=plan.encode())
    assert refused.refused_with(*parts)
    assert "innocent" not in refused.err


@pytest.mark.usefixtures("unchanged")
def test_a_description_of_2_mb_from_standard_input_adds_nothing(running: Machine) -> None:
    refused = running.semo(*ADD, "-", stdin="가".encode() * 700_000)
    assert refused.refused_with("Standard input has more than 262144 bytes", "file")


@pytest.mark.usefixtures("unchanged")
def test_a_file_that_is_no_persona_adds_nobody(running: Machine, tmp_path: Path) -> None:
    file = tmp_path / "bo.md"
    file.write_bytes("당신은 백엔드 개발자입니다.".encode("euc-kr"))
    assert running.semo("team", "add", "--role", "BE", "--persona", str(file)).refused_with("bo.md", "not UTF-8 text")
    file.write_bytes(b"x" * 70_000)
    assert running.semo("persona", "set", "--role", "BE", str(file)).refused_with("bo.md", "more than 65536 bytes")


def test_a_file_of_jobs_is_added_as_a_whole_and_listed_in_the_order_of_its_graph(
    running: Machine, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.toml"
    file.write_text(PLAN)
    added = running.semo("job", "add", "--file", str(file), "--json")
    assert added.code == 0, added
    build, tests, release = added.json
    assert (build["status"], tests["status"], release["status"]) == ("ready", "pending", "pending")
    assert (tests["title"], tests["turn_limit_ms"], tests["priority"]) == ("시험", 90_000, 5)
    assert set(release["depends_on"]) == {build["id"], tests["id"]}
    listed = running.semo("job", "list", "--json").json
    assert [job["title"] for job in listed] == ["build", "시험", "release"]
    assert running.semo("job", "cancel", build["id"][:8]).code == 0
    told = running.semo("job", "list", "--status", "cancelled").out
    assert told.count(f"Cancelled, because build ({build['id'][:8]}) was cancelled.") == 2
    assert running.semo("job", "retry", build["id"]).code == 0
    assert show(running, release["id"])["status"] == "pending"
    assert [job["title"] for job in running.semo("job", "list", "--role", "QA", "--json").json] == ["시험"]


def test_a_team_is_hired_described_and_let_go(running: Machine, tmp_path: Path) -> None:
    file = tmp_path / "bo.md"
    file.write_text('+++\nname = "백엔드"\nscope = ["src/**"]\n+++\n서비스를 만듭니다.\n')
    hired = running.semo("team", "add", "--role", "BE", "--name", "보", "--persona", str(file), "--json")
    assert hired.code == 0, hired
    assert running.semo("team", "add", "--role", "Writer").code == 0
    assert running.semo("persona", "set", "--role", "Writer", str(file)).code == 0
    assert "서비스를 만듭니다." in running.semo("persona", "show", "--role", "Writer").out
    job = running.semo("job", "add", "--agent", "보", "--title", "T", "--description", "x", "--json").json
    assert (job["role"], job["agent_id"]) == ("BE", hired.json["id"])
    assert "보" in running.semo("team", "list").out
    assert running.semo("team", "remove", "보").code == 0
    assert [member["name"] for member in running.semo("team", "list", "--json").json] == ["Writer-1"]
    assert show(running, job["id"])["agent_id"] is None


def test_an_office_is_made_shown_put_away_and_opened_again(running: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "웹"
    folder.mkdir()
    made = running.semo("office", "create", str(folder), "--json")
    assert made.code == 0, made
    assert made.json["name"] == "웹"
    assert running.semo("office", "create", str(folder), "--json").json["id"] == made.json["id"]
    assert running.semo("office", "archive", "웹").code == 0
    for verb in ((*ADD, "x"), ("new",), ("team", "add", "--role", "BE"), ("pool", "set", "BE=1")):
        assert running.semo(*verb, "--office", "웹").refused_with("The office 웹 is archived", "semo office restore")
    assert "웹" not in running.semo("office", "list").out
    up = running.semo("up", "--headless", "--no-server", cwd=folder)
    assert "The office is archived: `semo office restore` opens it again." in up.out
    assert running.semo("office", "restore", "웹").code == 0
    assert running.semo(*ADD, "x", "--office", "웹").code == 0
    shown = json.loads(running.semo("office", "show", "웹", "--json").out)
    assert (shown["jobs"], shown["archived_at"], len(shown["hosts"])) == ({"ready": 1}, None, 1)
