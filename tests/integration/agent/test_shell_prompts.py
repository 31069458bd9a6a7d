"""Prompts into a real shell in a real terminal."""

from typing import Any

import pytest

from semo_agent.office import Verdict
from semo_office.errors import ErrorCode
from semo_office.models import SendPrompt, SendText, SessionStatus, Stage
from tests.integration.agent.bench_host import Bench

HASTY_SHELL = """
name = "hasty"
[launch]
integration = "shell"
[evidence]
source = "osc133"
[typing]
bracketed_paste = true
[limits]
cancel_timeout_ms = 300
"""


def result_of(verdict: Verdict) -> dict[str, Any]:
    assert verdict.error is None, f"{verdict.error}: {verdict.message}"
    assert verdict.result is not None
    return verdict.result


async def test_a_command_brings_back_its_output_and_exit_status(bench: Bench) -> None:
    row = await bench.shell()
    result = result_of(await bench.prompt(row, "echo $((6*7))"))
    assert (result["output"], result["exit_status"]) == ("42", 0)


async def test_every_stage_is_reported_with_its_evidence(bench: Bench) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="echo 42"))
    await bench.office.verdict(command)
    assert bench.office.commands[command.id].stages == [
        (Stage.TYPED, {"bytes": 7, "bracketed": True}),
        (Stage.ACCEPTED, {"source": "osc133", "mark": "C"}),
    ]
    assert bench.office.rows[row.session_id].status is SessionStatus.READY


async def test_a_failing_subshell_is_an_exit_status_and_the_session_lives(bench: Bench) -> None:
    row = await bench.shell()
    assert result_of(await bench.prompt(row, "(exit 3)"))["exit_status"] == 3
    assert result_of(await bench.prompt(row, "echo alive"))["output"] == "alive"


async def test_exit_ends_the_session_with_its_status(bench: Bench) -> None:
    row = await bench.shell()
    verdict = await bench.prompt(row, "exit 3")
    assert verdict.error is ErrorCode.SESSION_EXITED
    assert verdict.result is not None
    assert verdict.result["exit_status"] == 3
    ended = await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    assert ended.exit_status == 3
    assert ended.reason == "the program ended with exit status 3"


async def test_a_program_that_ends_while_nothing_runs_is_reported(bench: Bench) -> None:
    row = await bench.shell()
    result_of(await bench.do(row, SendText(text="exit 4")))
    ended = await bench.office.seen_as(row.session_id, SessionStatus.TERMINATED)
    assert (ended.exit_status, ended.status_source) == (4, "exit")


async def test_an_open_quote_asks_and_an_answer_ends_it(bench: Bench) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="echo it's"))
    asking = await bench.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT, timeout=2)
    assert asking.reason == "continuation: the shell waits for the rest of the command"
    result_of(await bench.do(row, SendText(text="'", answer=True)))
    assert result_of(await bench.office.verdict(command))["output"] == "its\n"


async def test_an_exclamation_mark_is_text(bench: Bench) -> None:
    row = await bench.shell()
    assert result_of(await bench.prompt(row, 'echo "a!b"'))["output"] == "a!b"


async def test_several_lines_are_one_turn(bench: Bench) -> None:
    row = await bench.shell()
    result = result_of(await bench.prompt(row, "echo one\necho two\n(exit 5)"))
    assert (result["output"], result["exit_status"]) == ("one\ntwo", 5)
    assert bench.live(row).sighting.begun == 1


async def test_a_syntax_error_ends_its_turn_without_having_begun(bench: Bench, shell_name: str) -> None:
    row = await bench.shell()
    command = bench.take(row, SendPrompt(prompt="if )"))
    result = result_of(await bench.office.verdict(command))
    assert result["exit_status"] == (2 if shell_name == "bash" else 1)
    complaint = "syntax error near unexpected token `)'" if shell_name == "bash" else "parse error near `)'"
    assert complaint in result["output"]
    assert result["output"].count("\n") == 0
    _, accepted = bench.office.commands[command.id].stages
    assert accepted == (Stage.ACCEPTED, {"source": "osc133", "mark": "D", "without": "C"})


async def test_a_second_syntax_error_has_no_status_of_an_earlier_command(bench: Bench, shell_name: str) -> None:
    row = await bench.shell()
    await bench.prompt(row, "(exit 7)")
    result = result_of(await bench.prompt(row, "if )"))
    # zsh leaves the 7 in place.
    assert result["exit_status"] == (2 if shell_name == "bash" else None)


async def test_a_comment_ends_its_turn(bench: Bench, shell_name: str) -> None:
    row = await bench.shell()
    result = result_of(await bench.prompt(row, "# nothing to do"))
    # In zsh a comment is a command that does not exist unless the user wants comments.
    assert result["exit_status"] == (0 if shell_name == "bash" else 127)


async def test_hangul_wider_than_the_screen_comes_back_whole(bench: Bench) -> None:
    row = await bench.shell(cols=40)
    text = "가나다라마바사아자차카타파하" * 5
    assert result_of(await bench.prompt(row, f"echo {text}"))["output"] == text


async def test_a_long_line_comes_back_as_one_line(bench: Bench) -> None:
    row = await bench.shell(cols=80)
    result = result_of(await bench.prompt(row, "printf '%0300d\\n' 7"))
    assert result["output"] == "0" * 299 + "7"


async def test_output_without_a_line_end_is_exact(bench: Bench) -> None:
    row = await bench.shell()
    assert result_of(await bench.prompt(row, "printf abc"))["output"] == "abc"


async def test_of_too_much_output_the_end_is_kept(bench: Bench) -> None:
    row = await bench.shell()
    result = result_of(await bench.prompt(row, "seq 1 100000"))
    lines = str(result["output"]).split("\n")
    assert lines[-1] == "100000"
    assert int(lines[0]) == int(result["omitted_lines"]) + 1
    assert 150_000 < len(str(result["output"])) <= 200_000


async def test_a_draft_is_left_alone(bench: Bench) -> None:
    row = await bench.shell()
    result_of(await bench.do(row, SendText(text="echo mine", enter=False)))
    await bench.shows(row, "echo mine")
    assert (await bench.prompt(row, "echo yours")).error is ErrorCode.DRAFT_PRESENT
    result_of(await bench.do(row, SendText(text="\r", raw=True)))
    await bench.live(row).until(lambda: bench.live(row).sighting.ended == 1, 5)
    rows = (await bench.host.terminal.screen(str(row.iterm_tab_id))).rows
    assert "mine" in [line.text for line in rows]


async def test_a_prompt_to_a_session_that_asks_is_refused(bench: Bench) -> None:
    row = await bench.shell()
    bench.take(row, SendText(text="echo it's"))
    await bench.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT)
    assert (await bench.prompt(row, "echo no")).error is ErrorCode.SESSION_BLOCKED


async def test_an_answer_to_a_session_that_asks_nothing_is_refused(bench: Bench) -> None:
    row = await bench.shell()
    verdict = await bench.do(row, SendText(text="y", answer=True))
    assert verdict.error is ErrorCode.NOT_READY
    assert "asks nothing" in str(verdict.message)


async def test_r19_a_turn_that_reaches_its_limit_is_stopped_and_the_next_prompt_works(bench: Bench) -> None:
    row = await bench.shell()
    verdict = await bench.do(row, SendPrompt(prompt="echo so far; sleep 100", turn_limit_ms=300))
    assert verdict.error is ErrorCode.TIMEOUT
    assert verdict.message == "The turn ran longer than its limit of 0.3 s and was stopped."
    assert verdict.result is not None
    assert str(verdict.result["output"]).startswith("so far")
    assert result_of(await bench.prompt(row, "echo next"))["output"] == "next"


async def test_a_turn_that_goes_on_after_its_limit_is_said_to(bench: Bench) -> None:
    (bench.folder / "profiles").mkdir()
    (bench.folder / "profiles" / "hasty.toml").write_text(HASTY_SHELL)
    row = await bench.shell(profile="hasty")
    stubborn = "trap '' INT; echo so far; until [ -e go ]; do read -t 0.05 x; done"
    verdict = await bench.do(row, SendPrompt(prompt=stubborn, turn_limit_ms=300))
    assert verdict.error is ErrorCode.TIMEOUT
    assert verdict.message == "The turn ran longer than its limit of 0.3 s and went on after Ctrl-C."
    assert verdict.result is not None
    assert str(verdict.result["output"]).startswith("so far")
    (bench.home / "go").touch()
    await bench.office.seen_as(row.session_id, SessionStatus.READY)


async def test_a_prompt_with_a_limit_to_begin_waits_for_a_turn_begun_by_hand(bench: Bench) -> None:
    row = await bench.shell()
    result_of(await bench.do(row, SendText(text="read answer")))
    await bench.office.seen_as(row.session_id, SessionStatus.EXECUTING)
    too_late = bench.office.write(row.session_id, SendPrompt(prompt="echo late"))
    bench.worker.take(too_late, remaining_ms=200)
    assert (await bench.office.verdict(too_late)).error is ErrorCode.TIMEOUT
    in_time = bench.office.write(row.session_id, SendPrompt(prompt="echo in time"))
    bench.worker.take(in_time, remaining_ms=20_000)
    result_of(await bench.do(row, SendText(text="yes", answer=True)))
    assert result_of(await bench.office.verdict(in_time))["output"] == "in time"
    screen = await bench.host.terminal.screen(str(bench.live(row).tab_id))
    assert not any("late" in line.text for line in screen.rows)


async def test_a_turn_begun_by_hand_is_executing_with_no_command(bench: Bench) -> None:
    row = await bench.shell()
    result_of(await bench.do(row, SendText(text="read answer")))
    await bench.office.seen_as(row.session_id, SessionStatus.EXECUTING)
    assert bench.live(row).turn is None
    result_of(await bench.do(row, SendText(text="yes", answer=True)))
    await bench.office.seen_as(row.session_id, SessionStatus.READY)


@pytest.mark.parametrize("noise", ["PROMPT_COMMAND='echo noise'", "PROMPT_COMMAND=(true 'echo noise')"])
async def test_the_users_prompt_command_runs_and_is_no_output(bench: Bench, shell_name: str, noise: str) -> None:
    start_up = {"bash": (".bashrc", noise), "zsh": (".zshrc", "precmd() { echo noise }")}[shell_name]
    (bench.home / start_up[0]).write_text(start_up[1] + "\n")
    row = await bench.shell()
    result = result_of(await bench.prompt(row, "(echo out; exit 6)"))
    assert (result["output"], result["exit_status"]) == ("out", 6)
    screen = await bench.host.terminal.screen(str(bench.live(row).tab_id))
    assert [line.text for line in screen.rows].count("noise") == 2


async def test_an_error_in_the_users_start_up_does_no_harm(bench: Bench, shell_name: str) -> None:
    name = {"bash": ".bashrc", "zsh": ".zshrc"}[shell_name]
    (bench.home / name).write_text("false\nno-such-command\nif )\n")
    row = await bench.shell()
    assert result_of(await bench.prompt(row, "echo fine"))["output"] == "fine"


async def test_a_prompt_that_the_user_changes_keeps_its_marks(bench: Bench) -> None:
    row = await bench.shell()
    await bench.prompt(row, "PS1='new> '; PS2='more> '")
    await bench.prompt(row, "true")
    assert result_of(await bench.prompt(row, "echo marked"))["output"] == "marked"


async def test_marks_that_a_program_prints_are_not_believed(bench: Bench) -> None:
    row = await bench.shell()
    result = result_of(await bench.prompt(row, r"printf '\033]133;D;0\007\033]133;B\007'; (exit 9)"))
    assert result["exit_status"] == 9


async def test_the_environment_of_a_program_says_where_it_is_and_nothing_more(bench: Bench) -> None:
    row = await bench.shell()
    result = result_of(await bench.prompt(row, "env | grep -E '^(SEMO|TERM|COLORTERM|ZDOTDIR)' | sort"))
    assert result["output"] == f"COLORTERM=truecolor\nSEMO=1\nSEMO_SESSION_ID={row.session_id}\nTERM=xterm-256color"
