"""Begin, cancel, read and end sessions of a real shell."""

import asyncio
import shutil
from pathlib import Path
from uuid import UUID, uuid4

from semo_agent.office import Verdict
from semo_office.errors import ErrorCode
from semo_office.models import (
    Cancel,
    CreateSession,
    GetOutput,
    SendPrompt,
    SendText,
    SessionInfo,
    SessionReport,
    SessionStatus,
    Stage,
    Terminate,
)
from tests.integration.agent.bench_host import Bench, running_host
from tests.integration.agent.recording_office import RecordingOffice


async def tabs_of(bench: Bench) -> list[str]:
    return [tab.tag for tab in await bench.host.terminal.list()]


async def test_a_session_is_complete_when_it_is_ready(bench: Bench) -> None:
    row = await bench.shell()
    assert row.status is SessionStatus.READY
    assert row.iterm_tab_id == bench.live(row).tab_id


async def test_a_running_command_is_cancelled_and_the_prompt_is_back(bench: Bench) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="echo begun; sleep 100"))
    await bench.office.reached(command, Stage.ACCEPTED)
    cancelled = await bench.do(row, Cancel())
    assert cancelled == Verdict(result={"was_idle": False})
    verdict = await bench.office.verdict(command)
    assert verdict.error is ErrorCode.CANCELLED
    assert verdict.result is not None
    assert verdict.result["exit_status"] == 130
    assert str(verdict.result["output"]).startswith("begun")
    assert bench.office.rows[row.session_id].status is SessionStatus.READY


async def test_a_prompt_that_asks_is_cancelled(bench: Bench) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="echo it's"))
    await bench.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT)
    assert (await bench.do(row, Cancel())).result == {"was_idle": False}
    assert (await bench.office.verdict(command)).error is ErrorCode.CANCELLED
    assert (await bench.prompt(row, "echo next")).error is None


async def test_a_cancel_that_was_given_to_another_process_stops_nothing(bench: Bench) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="read line; echo $line"))
    await bench.office.reached(command, Stage.ACCEPTED)
    cancel = bench.office.write(row.session_id, Cancel())
    bench.office.commands[cancel.id].command = cancel.model_copy(update={"claim_token": uuid4()})
    bench.worker.take(cancel)
    assert (await bench.do(row, SendText(text="goes on", answer=True))).error is None
    verdict = await bench.office.verdict(command)
    assert verdict.error is None
    assert verdict.result is not None
    assert verdict.result["output"] == "goes on\ngoes on"


async def test_cancel_at_an_idle_prompt_sends_nothing(bench: Bench) -> None:
    row = await bench.shell()
    before = await bench.host.terminal.screen(str(row.iterm_tab_id))
    assert (await bench.do(row, Cancel())).result == {"was_idle": True}
    after = await bench.host.terminal.screen(str(row.iterm_tab_id))
    # Not the whole screen: zsh asks for bracketed paste a moment after its prompt.
    assert (after.rows, after.cursor_row, after.cursor_col) == (before.rows, before.cursor_row, before.cursor_col)


async def test_a_program_that_ignores_ctrl_c_is_reported_after_the_limit(bench: Bench) -> None:
    (bench.folder / "profiles").mkdir()
    shell = (Path(__file__).parents[3] / "semo_agent/profiles/shell.toml").read_text()
    quick = shell.replace('"shell"\ndesc', '"quick"\ndesc').replace(
        "cancel_timeout_ms = 10000", "cancel_timeout_ms = 300"
    )
    (bench.folder / "profiles" / "quick.toml").write_text(quick)
    row = await bench.shell(profile="quick")
    bench.take(row, SendPrompt(prompt="(trap '' INT; echo de''af; read stuck)"))
    await bench.shows(row, "deaf")
    assert (await bench.do(row, Cancel())).error is ErrorCode.TIMEOUT
    await bench.do(row, Terminate())


async def test_terminate_ends_the_program_and_its_turn(bench: Bench) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="echo begun; sleep 100"))
    await bench.office.reached(command, Stage.ACCEPTED)
    assert (await bench.do(row, Terminate())).result == {"was_running": True}
    verdict = await bench.office.verdict(command)
    assert verdict.error is ErrorCode.SESSION_EXITED
    ended = await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    assert ended.reason == "ended by an operator"
    assert await tabs_of(bench) == []


async def test_a_missing_folder_is_named(bench: Bench) -> None:
    row = bench.office.write_session("/no/such/folder")
    verdict = await bench.do(row, CreateSession(profile="shell"))
    assert verdict.error is ErrorCode.INVALID_PAYLOAD
    assert verdict.message == "The folder /no/such/folder does not exist on this host."
    await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    assert await tabs_of(bench) == []


async def test_an_unknown_profile_is_answered_with_the_known_ones(bench: Bench) -> None:
    row = bench.office.write_session(str(bench.home), "cluade")
    verdict = await bench.do(row, CreateSession(profile="cluade"))
    assert verdict.error is ErrorCode.INVALID_PAYLOAD
    assert verdict.message == "There is no profile 'cluade'. Known: shell."
    await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)


async def test_a_program_that_shows_no_prompt_is_ended_and_quoted(bench: Bench) -> None:
    bench.write_profile("mute", ["sh", "-c", "echo no licence; sleep 60"], "[limits]\nstart_timeout_ms = 500\n")
    row = bench.office.write_session(str(bench.home), "mute")
    verdict = await bench.do(row, CreateSession(profile="mute"))
    assert verdict.error is ErrorCode.LAUNCH_FAILED
    assert verdict.message == "The program showed no prompt within 0.5 s. It said last: no licence"
    await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    assert await tabs_of(bench) == []


async def test_a_program_that_does_not_exist_is_named(bench: Bench) -> None:
    bench.write_profile("gone", ["/no/such/program"])
    row = bench.office.write_session(str(bench.home), "gone")
    verdict = await bench.do(row, CreateSession(profile="gone"))
    assert verdict.error is ErrorCode.LAUNCH_FAILED
    assert "/no/such/program" in str(verdict.message)
    await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)


async def test_a_program_that_ends_before_its_prompt_is_quoted(bench: Bench) -> None:
    bench.write_profile("brief", ["sh", "-c", "echo no licence; exit 2"])
    row = bench.office.write_session(str(bench.home), "brief")
    verdict = await bench.do(row, CreateSession(profile="brief"))
    assert verdict.error is ErrorCode.LAUNCH_FAILED
    assert verdict.message == "Before its first prompt the program ended with exit status 2. It said last: no licence"


async def test_a_session_is_ended_while_it_begins(bench: Bench) -> None:
    bench.write_profile("mute", ["sleep", "60"])
    row = bench.office.write_session(str(bench.home), "mute")
    creating = bench.take(row, CreateSession(profile="mute"))
    await bench.office.seen_with_tab(row.session_id)
    assert (await bench.do(row, Terminate())).error is None
    assert (await bench.office.verdict(creating)).error is ErrorCode.LAUNCH_FAILED
    assert (await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)).reason == "ended by an operator"
    assert await tabs_of(bench) == []


class OfficeInARush(RecordingOffice):
    """Takes the end of a session only after its beginning has looked whether it may begin."""

    def __init__(self) -> None:
        super().__init__()
        self._has_looked = asyncio.Event()

    async def session(self, session_id: UUID) -> SessionInfo | None:
        row = await super().session(session_id)
        self._has_looked.set()
        return row

    async def report_session(self, session_id: UUID, report: SessionReport) -> None:
        await self._has_looked.wait()
        await super().report_session(session_id, report)


async def test_a_session_is_ended_at_the_moment_of_its_beginning(shell_name: str) -> None:
    environment = {"SHELL": str(shutil.which(shell_name))}
    async with running_host(environment=environment, office=OfficeInARush()) as bench:
        row = bench.office.write_session(str(bench.home))
        ending = bench.take(row, Terminate())
        # It may have begun just before it ended, or not at all; either way nothing of it is left.
        await bench.do(row, CreateSession(profile="shell"))
        assert (await bench.office.verdict(ending)).error is None
        assert bench.office.rows[row.session_id].status is SessionStatus.TERMINATED
        assert await tabs_of(bench) == []


async def test_output_is_the_log_and_the_live_screen(bench: Bench) -> None:
    row = await bench.shell()
    await bench.prompt(row, "seq 1 200")
    verdict = await bench.do(row, GetOutput(lines=60))
    assert verdict.result is not None
    lines = verdict.result["lines"]
    assert isinstance(lines, list)
    assert len(lines) == 60
    assert lines[-2] == "200"
    assert lines[0] == str(200 - 58)


async def test_following_output_gives_each_committed_line_once(bench: Bench) -> None:
    row = await bench.shell()
    seen: list[str] = []
    since = 0
    for last in (150, 300):
        await bench.prompt(row, f"seq {last - 149} {last}")
        result = (await bench.do(row, GetOutput(lines=1000, since_line=since, epoch=0))).result
        assert result is not None
        lines, following = result["lines"], result["next_line"]
        assert isinstance(lines, list)
        assert isinstance(following, int)
        seen += [str(line) for line in lines[: following - since]]
        since = following
    numbers = [int(line) for line in seen if line.isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 200


async def test_an_ended_session_can_still_be_read(bench: Bench) -> None:
    row = await bench.shell()
    await bench.do(row, SendText(text="echo last words; exit"))
    await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    verdict = await bench.do(row, GetOutput())
    assert verdict.result is not None
    assert "last words" in str(verdict.result["output"])


async def test_a_title_is_reported(bench: Bench) -> None:
    row = await bench.shell()
    await bench.prompt(row, r"printf '\033]2;the title\007'")
    await bench.live(row).until(lambda: bench.office.rows[row.session_id].title == "the title", 5)


async def test_a_session_that_ended_with_its_turn_leaves_no_record(bench: Bench) -> None:
    row = await bench.shell()
    assert (await bench.prompt(row, "exit 3")).error is ErrorCode.SESSION_EXITED
    async with asyncio.timeout(5.0):
        while bench.host.records.read_all():  # noqa: ASYNC110 - a file tells nobody that it is gone
            await asyncio.sleep(0.01)
