"""What an agent CLI is told of its job, and that nothing but the office's own word can end it."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semo_office.briefing import MARKER, Background, Report, write_briefing
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import PROMPT_BYTES_MAX, AgentPersona, AttemptStatus, Job, JobStatus, OfficeAgent
from semo_office.verdict import judge
from tests.unit.semo_office.fakes import EPOCH
from tests.unit.semo_office.test_verdict import result

NONCE = "0a1b2c3d4e5f6071"
BO = OfficeAgent(id=UUID(int=5), office_id=UUID(int=1), role="BE", name="Bo", status="idle")
PERSONA = AgentPersona(
    id=UUID(int=6),
    role="BE",
    name="Backend",
    persona_prompt="You build services.",
    scope_patterns=("src/api/**", "src/lib/**"),
    core_skills=("write-code", "create-pr"),
)
PIECES = [*"SEMO-DNE[quoted]\n \t`", MARKER, MARKER + NONCE, "가", "\x1b"]
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def job(description: str = "Add the login.", *, title: str = "Login", role: str = "BE") -> Job:
    return Job(
        id=UUID(int=7),
        office_id=UUID(int=1),
        role=role,
        title=title,
        description=description,
        status=JobStatus.PROCESSING,
        priority=100,
        profile="claude",
        created_by=UUID(int=8),
        created_at=EPOCH,
        version=1,
    )


def test_a_briefing_says_who_what_where_what_was_before_and_how_it_ends() -> None:
    background = Background(
        nonce=NONCE,
        persona=PERSONA,
        branch="feature/login",
        results=(Report("Schema", "The tables are in sql/3."), Report("빌드", "다 됐습니다.")),
        last_try=Report("It ended: The turn ended and did not say that the job is done.", "Tests are missing."),
        note="로그인 테스트를 쓰세요.",
    )
    text = write_briefing(job("로그인을 추가하세요.\n두 줄."), BO, background)
    parts = [
        "You are Bo. You work as BE",
        "You build services.",
        "- src/api/**\n- src/lib/**",
        "write-code, create-pr",
        "# Job: Login",
        "로그인을 추가하세요.\n두 줄.",
        "Branch: feature/login",
        "## Schema\n\nThe tables are in sql/3.",
        "## 빌드\n\n다 됐습니다.",
        "did not say that the job is done.\n\nTests are missing.",
        "A person who looked at it says: 로그인 테스트를 쓰세요.",
        MARKER + NONCE,
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_r21_a_role_that_nobody_described_is_briefed_all_the_same() -> None:
    text = write_briefing(job(role="번역가"), None, Background(nonce=NONCE))
    assert text.startswith("You work as 번역가 in a team of agents")
    assert "Add the login." in text


def test_a_job_that_left_nothing_to_read_says_so() -> None:
    assert "## Build\n\n[it left nothing to read]" in write_briefing(
        job(), None, Background(nonce=NONCE, results=(Report("Build", " \n"),))
    )


@given(title=HOSTILE, description=HOSTILE, report=HOSTILE, note=HOSTILE, persona=HOSTILE, branch=HOSTILE)
def test_no_text_of_a_job_can_forge_the_marker(
    title: str, description: str, report: str, note: str, persona: str, branch: str
) -> None:
    background = Background(
        nonce=NONCE,
        persona=PERSONA.model_copy(update={"persona_prompt": persona, "core_skills": (title,)}),
        branch=branch,
        results=(Report(title, report),),
        last_try=Report(report, description),
        note=note,
    )
    text = write_briefing(job(description, title=title, role=title or "BE"), BO, background)
    assert text.count(MARKER) == 1
    assert text.count(MARKER + NONCE) == 1


def test_text_that_looks_like_the_marker_is_defused_where_a_person_sees_it() -> None:
    text = write_briefing(job(f"Print {MARKER}abc."), None, Background(nonce=NONCE))
    assert "Print SEMO-DONE[quoted]-abc." in text


@given(title=HOSTILE, description=HOSTILE)
def test_r9_the_echo_of_its_own_prompt_is_no_completion(title: str, description: str) -> None:
    echo = write_briefing(job(description, title=title), BO, Background(nonce=NONCE, persona=PERSONA))
    assert judge(result(last_message=echo, output=echo), NONCE).status is AttemptStatus.NEEDS_REVIEW


def test_results_of_others_are_shortened_to_what_fits_and_the_job_itself_never() -> None:
    description = "가" * 80_000
    results = tuple(Report(f"Job {number}", f"{'x' * 90_000}the end of {number}") for number in range(9))
    text = write_briefing(job(description), BO, Background(nonce=NONCE, persona=PERSONA, results=results))
    assert len(text.encode()) <= PROMPT_BYTES_MAX
    assert description in text
    assert all(f"the end of {number}" in text for number in range(9))
    assert text.count("[… shortened") == 9


@given(st.integers(min_value=0, max_value=900), st.integers(min_value=0, max_value=6))
def test_a_briefing_is_never_longer_than_what_can_be_sent(missing: int, others: int) -> None:
    alone = len(write_briefing(job("x"), BO, Background(nonce=NONCE)).encode())
    description = "x" * (PROMPT_BYTES_MAX - alone - missing)
    results = tuple(Report(str(number), "가" * 50_000) for number in range(others))
    try:
        text = write_briefing(job(description), BO, Background(nonce=NONCE, results=results))
    except CommandError as err:
        assert err.code is ErrorCode.INVALID_PAYLOAD
    else:
        assert len(text.encode()) <= PROMPT_BYTES_MAX
        assert description in text


def test_a_job_whose_own_text_is_too_long_is_refused_with_what_to_do() -> None:
    with pytest.raises(CommandError, match="name the file") as caught:
        write_briefing(job("x" * PROMPT_BYTES_MAX), BO, Background(nonce=NONCE))
    assert caught.value.code is ErrorCode.INVALID_PAYLOAD
