"""Sessions of an agent CLI whose hooks tell its state: a scripted one in a real terminal."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from semo_agent.composing import Composing
from semo_agent.office import Verdict
from semo_office.errors import ErrorCode
from semo_office.models import Cancel, CreateSession, SendPrompt, SendText, SessionInfo, SessionStatus, Stage
from tests.integration.agent.bench_host import Bench, running_host
from tests.programs.agent_cli_profile import NAME, AgentCli, write_profile

HANGUL = "첫째 줄: 가나다\n둘째 줄 각각 👩‍👩‍👧‍👦 é\n\n\t넷째 줄"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[Bench]:
    """One host for all: each test has a profile and a folder of its own in it."""
    async with running_host() as running:
        yield running


@pytest.fixture
def profile() -> str:
    return f"cli_{uuid4().hex[:8]}"


@pytest.fixture
def cli(bench: Bench, profile: str) -> AgentCli:
    return write_profile(bench.folder / "profiles", name=profile)


@pytest_asyncio.fixture(loop_scope="module")
async def row(bench: Bench, cli: AgentCli, profile: str, tmp_path: Path) -> SessionInfo:
    """A session that is ready."""
    return await bench.shell(profile=profile, cwd=tmp_path)


@pytest.fixture
def go(tmp_path: Path) -> Callable[[], None]:
    """Make what `@wait go` waits for."""
    return (tmp_path / "go").touch


def told(verdict: Verdict) -> dict[str, object]:
    """The result of a turn that ended."""
    assert verdict.error is None, verdict.message
    assert verdict.result is not None
    return dict(verdict.result)


async def test_r15_a_prompt_of_several_lines_arrives_once_and_exact(
    bench: Bench, cli: AgentCli, row: SessionInfo
) -> None:
    result = told(await bench.prompt(row, HANGUL))
    assert cli.received() == [HANGUL]
    assert result["last_message"] == f"Heard {len(HANGUL)} characters."
    assert str(result["output"]).endswith(f"Heard {len(HANGUL)} characters.")
    assert isinstance(result["duration_ms"], int)
    assert not {"exit_status", "failure"} & set(result)


async def test_the_receipt_names_the_event_that_accepted_a_prompt(bench: Bench, row: SessionInfo) -> None:
    command = bench.take(row, SendPrompt(prompt="@say hello"))
    await bench.office.verdict(command)
    assert dict(bench.office.commands[command.id].stages)[Stage.ACCEPTED] == {
        "source": "hooks", "event": "UserPromptSubmit",
    }  # fmt: skip


async def test_prompts_follow_each_other_and_each_has_its_own_message(bench: Bench, row: SessionInfo) -> None:
    messages = [told(await bench.prompt(row, f"@say {n}"))["last_message"] for n in range(3)]
    assert messages == ["0", "1", "2"]


async def test_what_a_prompt_told_to_end_with_is_the_end_of_the_last_message(bench: Bench, row: SessionInfo) -> None:
    prompt = "Do it.\n@say 했습니다\nEnd with SEMO-DONE-a1b2"
    assert told(await bench.prompt(row, prompt))["last_message"] == "했습니다\nSEMO-DONE-a1b2"
    assert told(await bench.prompt(row, f"{prompt}\n@forget"))["last_message"] == "했습니다"


async def test_a_question_is_reported_with_its_text_and_its_answer_goes_on(
    bench: Bench, row: SessionInfo, go: Callable[[], None]
) -> None:
    command = bench.take(row, SendPrompt(prompt="@ask 어느 데이터베이스?\n@wait go"))
    asking = await bench.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT)
    assert (asking.reason, asking.status_source) == ("어느 데이터베이스?", "hooks")
    refused = await bench.prompt(row, "@say never")
    assert refused.error is ErrorCode.SESSION_BLOCKED
    assert (await bench.do(row, SendText(text="가나다", answer=True))).error is None
    assert (await bench.office.seen_as(row.session_id, SessionStatus.EXECUTING)).reason is None
    go()
    assert told(await bench.office.verdict(command))["last_message"] == "Answer: 가나다"


async def test_a_failure_that_the_cli_reports_is_told_beside_the_result(bench: Bench, row: SessionInfo) -> None:
    result = told(await bench.prompt(row, "@fail rate_limit You have used it up until 5 pm."))
    assert result["failure"] == {"kind": "rate_limit", "message": "You have used it up until 5 pm."}
    assert told(await bench.prompt(row, "@fail new_kind ?"))["failure"] == {"kind": "other", "message": "?"}
    assert "failure" not in told(await bench.prompt(row, "@say better"))


async def test_a_stop_with_work_in_the_background_ends_no_turn(
    bench: Bench, row: SessionInfo, go: Callable[[], None]
) -> None:
    command = bench.take(row, SendPrompt(prompt="@say started\n@background\n@wait go\n@say finished"))
    await bench.shows(row, "started")
    assert bench.live(row).turn_runs
    go()
    assert told(await bench.office.verdict(command))["last_message"] == "started\nfinished"


async def test_a_cli_that_dies_in_a_turn_takes_the_session_with_it(bench: Bench, row: SessionInfo) -> None:
    verdict = await bench.prompt(row, "@say last words\n@crash")
    assert verdict.error is ErrorCode.SESSION_EXITED
    ended = await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    assert ended.reason == "the program ended with exit status 7"


async def test_a_cancel_presses_escape_and_is_done_at_the_composer(bench: Bench, row: SessionInfo) -> None:
    command = bench.take(row, SendPrompt(prompt="@say begun\n@wait never"))
    await bench.shows(row, "begun")
    assert (await bench.do(row, Cancel())).result == {"was_idle": False}
    assert (await bench.office.verdict(command)).error is ErrorCode.CANCELLED
    await bench.shows(row, "Interrupted by user")
    assert (await bench.do(row, Cancel())).result == {"was_idle": True}
    assert told(await bench.prompt(row, "@say next"))["last_message"] == "next"


async def test_a_question_can_be_cancelled(bench: Bench, row: SessionInfo) -> None:
    command = bench.take(row, SendPrompt(prompt="@ask Which?"))
    await bench.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT)
    assert (await bench.do(row, Cancel())).error is None
    assert (await bench.office.verdict(command)).error is ErrorCode.CANCELLED
    await bench.office.seen_as(row.session_id, SessionStatus.READY)


async def test_a_turn_limit_stops_a_turn_by_the_same_key(bench: Bench, row: SessionInfo) -> None:
    verdict = await bench.do(row, SendPrompt(prompt="@say begun\n@wait never", turn_limit_ms=300))
    assert verdict.error is ErrorCode.TIMEOUT
    assert told(await bench.prompt(row, "@say next"))["last_message"] == "next"


async def test_the_hooks_of_a_cli_inside_the_cli_do_not_count(bench: Bench, row: SessionInfo) -> None:
    result = told(await bench.prompt(row, "@nest\n@say mine"))
    assert result["last_message"] == "mine"
    assert (bench.live(row).sighting.begun, bench.live(row).sighting.ended) == (1, 1)


async def test_a_draft_in_the_composer_is_left_alone(
    bench: Bench, cli: AgentCli, row: SessionInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semo_agent.composing.REDRAWING_S", 0.2)
    await bench.do(row, SendText(text="나의 초안", enter=False))
    await bench.shows(row, "나의 초안")
    assert (await bench.prompt(row, "@say never")).error is ErrorCode.DRAFT_PRESENT
    assert cli.received() == []


async def test_a_turn_begun_by_hand_is_executing_and_ends(
    bench: Bench, row: SessionInfo, go: Callable[[], None]
) -> None:
    await bench.do(row, SendText(text="@wait go"))
    await bench.office.seen_as(row.session_id, SessionStatus.EXECUTING)
    go()
    await bench.office.seen_as(row.session_id, SessionStatus.READY)


async def test_marks_in_what_the_cli_prints_say_nothing(bench: Bench, row: SessionInfo, go: Callable[[], None]) -> None:
    command = bench.take(row, SendPrompt(prompt="@say begun\n@wait go"))
    await bench.shows(row, "begun")
    tty = f"/proc/{bench.live(row).pid}/fd/1"
    await asyncio.to_thread(Path(tty).write_text, "\x1b]133;D;1\x07\x1b]133;A\x07\x1b]133;B\x07marked\r\n")
    await bench.shows(row, "marked")
    assert bench.live(row).turn_runs
    go()
    assert told(await bench.office.verdict(command))["last_message"] == "begun"


async def test_a_cli_that_ends_before_it_is_ready_was_not_launched(
    bench: Bench, cli: AgentCli, profile: str, tmp_path: Path
) -> None:
    cli.starts_badly("exit")
    row = bench.office.write_session(str(tmp_path), profile)
    verdict = await bench.do(row, CreateSession(profile=profile))
    assert verdict.error is ErrorCode.LAUNCH_FAILED
    assert "exit status 1. It said last: No credentials." in str(verdict.message)


async def test_a_cli_that_never_gets_ready_was_not_launched(bench: Bench, profile: str, tmp_path: Path) -> None:
    limits = "[limits]\nstart_timeout_ms = 300\n"
    write_profile(bench.folder / "profiles", name=profile, extra=limits).starts_badly("hang")
    row = bench.office.write_session(str(tmp_path), profile)
    verdict = await bench.do(row, CreateSession(profile=profile))
    assert verdict.error is ErrorCode.LAUNCH_FAILED
    assert "showed no prompt within 0.3 s. It said last: Scripted agent" in str(verdict.message)


async def test_a_dialog_before_the_first_prompt_waits_for_a_person(
    bench: Bench, cli: AgentCli, profile: str, tmp_path: Path
) -> None:
    cli.starts_badly("trust")
    row = bench.office.write_session(str(tmp_path), profile)
    command = bench.take(row, CreateSession(profile=profile))
    asking = await bench.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT)
    assert (asking.reason, asking.status_source) == ("Do you trust the files in this folder? (y/n)", "screen")
    assert (await bench.do(row, SendText(text="y", answer=True))).error is None
    assert (await bench.office.verdict(command)).error is None
    assert told(await bench.prompt(row, "@say trusted"))["last_message"] == "trusted"


async def test_nothing_of_a_session_is_left_in_the_spool_after_it(bench: Bench, row: SessionInfo) -> None:
    folder = bench.host.spools.of(row.session_id).folder
    await bench.host.read_hooks(bench.live(row))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert [path.name for path in folder.glob("[0-9]*")] == []
    assert json.loads((folder / "settings.json").read_text())["hooks"]["Stop"]
    await bench.prompt(row, "@crash")
    await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    async with asyncio.timeout(5.0):
        while folder.exists():  # noqa: ASYNC110 - a folder tells nobody that it is gone
            await asyncio.sleep(0.01)


async def test_a_large_prompt_arrives_whole(bench: Bench, cli: AgentCli, row: SessionInfo) -> None:
    text = "줄 " * 40_000
    assert told(await bench.prompt(row, text))["last_message"] == f"Heard {len(text)} characters."
    assert cli.received() == [text]


@pytest.mark.parametrize("left", [b"\x1b[200~half of \xed\x95\x9c", b""])
async def test_what_half_a_paste_left_is_cleared_and_the_cli_lives_on(
    bench: Bench, cli: AgentCli, row: SessionInfo, left: bytes
) -> None:
    await bench.host.terminal.write(str(bench.live(row).tab_id), left)
    await Composing(bench.host).clear(bench.live(row))
    assert told(await bench.prompt(row, "@say next"))["last_message"] == "next"
    assert cli.received() == ["@say next"]


async def test_an_event_is_taken_in_at_once_when_the_bell_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semo_agent.host.SPOOLS_READ_EVERY_S", 1000.0)
    async with running_host() as bench:
        write_profile(bench.folder / "profiles")
        row = await bench.shell(profile=NAME)
        assert told(await bench.prompt(row, "@say heard"))["last_message"] == "heard"


async def test_without_a_bell_an_event_is_taken_in_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semo_agent.host.SPOOLS_READ_EVERY_S", 0.2)
    async with running_host() as bench:
        write_profile(bench.folder / "profiles")
        row = await bench.shell(profile=NAME)
        bench.host.spools.bell.unlink()
        assert told(await bench.prompt(row, "@say found"))["last_message"] == "found"


async def test_of_a_cli_on_the_alternate_screen_the_output_is_what_it_shows(bench: Bench, row: SessionInfo) -> None:
    output = told(await bench.prompt(row, "@alternate\n@say 보이는 것"))["output"]
    assert "보이는 것" in str(output).split("\n")
