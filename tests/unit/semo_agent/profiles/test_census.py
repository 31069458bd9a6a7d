"""What a host tells of its profiles."""

import sys
from pathlib import Path
from uuid import uuid4

import pytest

from semo_agent.profiles import census
from semo_agent.profiles.census import program_version, take_census
from semo_agent.profiles.profile import EvidenceRules, Launch, Profile, Profiles
from tests.programs.agent_cli_profile import NAME, write_profile


def asking(*argv: str) -> Profile:
    launch = Launch(argv=["cat"], version_argv=list(argv))
    return Profile(name="mine", launch=launch, evidence=EvidenceRules(source="osc133"))


async def test_every_profile_that_can_be_read_is_told(tmp_path: Path) -> None:
    write_profile(tmp_path / "profiles")
    (tmp_path / "profiles" / "broken.toml").write_text("name = 1\n")
    told = await take_census(Profiles(tmp_path / "profiles"), uuid4(), {})
    assert [(each.name, each.cli_version, each.job_prompt, each.done_by) for each in told] == [
        (NAME, "agent-cli 1.2.3", "briefing", "nonce"),
        ("shell", None, "verbatim", "exit_status"),
    ]


@pytest.mark.parametrize(
    "program", ["", "print('1.0'); raise SystemExit(1)", "print()", "import sys; print('1', file=sys.stderr)"]
)
async def test_a_version_that_is_not_said_is_unknown(program: str) -> None:
    assert await program_version(asking(sys.executable, "-S", "-c", program), {}) is None


async def test_the_version_is_the_first_line() -> None:
    assert await program_version(asking(sys.executable, "-S", "-c", r"print('\n 2.1 \nmore')"), {}) == "2.1"


async def test_a_program_that_is_not_there_has_no_version() -> None:
    assert await program_version(asking("/nonexistent/cli"), {}) is None


async def test_a_program_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "VERSION_S", 0.05)
    assert await program_version(asking(sys.executable, "-S", "-c", "import time; time.sleep(60)"), {}) is None
