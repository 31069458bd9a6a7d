"""One prompt, all the way: `semo send` reaches a real shell and brings back a true result."""

import signal
import subprocess
from datetime import datetime
from uuid import uuid4

import pytest

from semo_office.commands import OutcomeKind
from semo_office.errors import ErrorCode
from semo_office.models import CommandStatus, SessionStatus
from tests.acceptance.machine import Machine
from tests.programs.agent_cli_profile import NAME, write_profile

ASKS_WITHIN_S = 2.0


@pytest.fixture(scope="module")
def home(running: Machine) -> str:
    """A session that stays at its prompt, for prompts that leave nothing behind."""
    return running.new_session(role="home")


def test_a_prompt_brings_back_output_and_exit_status_with_a_receipt(running: Machine, home: str) -> None:
    ended = running.semo("send", "--session", home, "--wait", "--json", "echo $((6*7))")
    assert ended.code == 0, ended
    told = ended.json
    assert told["success"] is True
    assert (told["result"]["output"], told["result"]["exit_status"]) == ("42", 0)
    assert told["session_id"] == home
    assert [step["stage"] for step in told["receipt"]] == ["queued", "claimed", "typed", "accepted", "turn_ended"]
    assert all(step["at"] and step["actor"] in ("operator", "agent") for step in told["receipt"])
    assert sorted(step["at"] for step in told["receipt"]) == [step["at"] for step in told["receipt"]]


def test_a_person_gets_the_output_and_one_line_about_it(running: Machine, home: str) -> None:
    ended = running.semo("send", "--session", home, "--wait", "printf ' a\\n\\n안녕 🙂\\n'; (exit 3)")
    assert (ended.code, ended.out) == (0, " a\n\n안녕 🙂\n")
    assert ended.err.startswith("exit 3 · accepted after ")
    assert ended.err.count("\n") == 1


def test_a_subshell_that_exits_leaves_the_session_alive(running: Machine, home: str) -> None:
    told = running.semo("send", "--session", home, "--wait", "--json", "(exit 3)").json
    assert (told["success"], told["result"]["exit_status"]) == (True, 3)
    assert running.result(running.send(home, "echo alive"))["output"] == "alive"


def test_a_shell_that_exits_ends_the_session(running: Machine) -> None:
    session_id = running.new_session()
    ended = running.semo("send", "--session", session_id, "--wait", "--json", "exit 3")
    assert ended.code == 5
    assert (ended.json["success"], ended.json["error"]) == (False, "session_exited")
    assert ended.json["result"]["exit_status"] == 3
    assert running.session(session_id).status is SessionStatus.TERMINATED
    assert running.semo("send", "--session", session_id, "echo").refused_with("has ended")


def test_r14_an_open_quote_asks_within_two_seconds_and_an_answer_ends_it(running: Machine) -> None:
    session_id = running.new_session()
    asked = running.semo("send", "--session", session_id, "--json", "--wait", "echo it's")
    assert asked.code == 3, asked
    assert (asked.json["waiting_input"], asked.json["status"]) == (True, "processing")
    assert "continuation" in asked.json["reason"]
    begun = datetime.fromisoformat(asked.json["receipt"][0]["at"])
    assert (running.session(session_id).status_as_of - begun).total_seconds() < ASKS_WITHIN_S
    assert running.semo("send", "--session", session_id, "--answer", "--wait", "done'").code == 0
    output = running.result(running.outcome(asked.json["command_id"]))["output"]
    assert str(output).endswith("its\ndone")


def test_an_exclamation_mark_is_text(running: Machine, home: str) -> None:
    assert running.semo("send", "--session", home, "--wait", 'echo "a!b"').out == "a!b\n"


def test_a_prompt_from_standard_input_may_have_many_lines(running: Machine, home: str) -> None:
    ended = running.semo("send", "--session", home, "--wait", "-", stdin=b"echo one\necho two\n")
    assert (ended.code, ended.out) == (0, "one\ntwo\n")


def test_without_wait_it_returns_at_once_with_id_and_stage(running: Machine, home: str) -> None:
    told = running.semo("send", "--session", home, "--json", "echo later").json
    assert (told["success"], told["stage"]) == (None, "queued")
    assert running.result(running.outcome(told["command_id"]))["output"] == "later"


def test_a_wait_that_ends_leaves_the_prompt_alone(running: Machine) -> None:
    session_id = running.new_session()
    flag = running.path / str(uuid4())
    prompt = f"until [ -e {flag} ]; do read -t 0.05 x; done; echo over"
    waiting = running.semo("send", "--session", session_id, "--wait", "0.5", "--json", prompt)
    assert (waiting.code, waiting.json["status"], waiting.json["success"]) == (4, "processing", None)
    flag.touch()
    assert running.result(running.outcome(waiting.json["command_id"]))["output"] == "over"


def test_ctrl_c_ends_the_wait_and_says_that_the_prompt_goes_on(running: Machine) -> None:
    session_id = running.new_session()
    process = running.begin("send", "--session", session_id, "--wait", "sleep 60")
    running.await_status(session_id, SessionStatus.EXECUTING)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert b"the prompt goes on" in err
    assert running.session(session_id).status is SessionStatus.EXECUTING


def test_an_answer_and_a_cancel_pass_a_waiting_prompt(running: Machine) -> None:
    session_id = running.new_session()
    asks = running.send(session_id, "echo it's")
    waiting = running.send(session_id, "echo waited", wait=0)
    assert (asks.kind, waiting.command.status) == (OutcomeKind.WAITING_INPUT, CommandStatus.PENDING)
    assert running.semo("send", "--session", session_id, "--answer", "--wait", "still open").code == 0
    assert running.semo("cancel", session_id).code == 0
    assert running.outcome(asks.command.id).command.error is ErrorCode.CANCELLED
    assert running.result(running.outcome(waiting.command.id))["output"] == "waited"


def test_r5_cancel_stops_what_runs_and_leaves_the_session_ready(running: Machine) -> None:
    session_id = running.new_session()
    sent = running.send(session_id, "sleep 60", wait=0)
    running.await_status(session_id, SessionStatus.EXECUTING)
    assert running.semo("cancel", session_id).code == 0
    assert running.outcome(sent.command.id).command.error is ErrorCode.CANCELLED
    assert running.session(session_id).status is SessionStatus.READY
    idle = running.semo("cancel", session_id)
    assert (idle.code, idle.err) == (0, "Nothing ran there; nothing was sent.\n")


def test_a_turn_limit_stops_what_runs_longer(running: Machine) -> None:
    session_id = running.new_session()
    ended = running.semo("send", "--session", session_id, "--wait", "--json", "--turn-limit", "0.3", "sleep 100")
    assert (ended.code, ended.json["success"], ended.json["error"]) == (5, False, "timeout")
    assert running.result(running.send(session_id, "echo next"))["output"] == "next"


def test_a_prompt_that_waits_can_be_taken_back(running: Machine) -> None:
    session_id = running.new_session()
    running.send(session_id, "sleep 60", wait=0)
    running.await_status(session_id, SessionStatus.EXECUTING)
    waiting = running.send(session_id, "echo never", wait=0)
    assert running.semo("cancel", "--command", str(waiting.command.id)).code == 0
    told = running.semo("send", "--session", session_id, "--id", str(waiting.command.id), "--wait", "echo never")
    assert (told.code, told.out) == (5, "")
    assert told.err.startswith("failed: Taken back before it began.")


def test_a_role_finds_its_ready_session(running: Machine) -> None:
    busy, ready = running.new_session(role="BE"), running.new_session(role="BE")
    running.send(busy, "sleep 60", wait=0)
    running.await_status(busy, SessionStatus.EXECUTING)
    assert running.semo("send", "--role", "BE", "--wait", "--json", "echo").json["session_id"] == ready


def test_new_starts_a_session_in_the_folder_of_the_caller(running: Machine) -> None:
    below = running.repository / "services"
    below.mkdir()
    ended = running.semo("new", "--role", "API", "--cwd", ".", cwd=below)
    assert (ended.code, ended.err) == (0, "")
    session = running.session(ended.out.strip())
    assert (session.role, session.cwd, session.status) == ("API", str(below), SessionStatus.READY)


def test_terminate_ends_program_and_session(running: Machine) -> None:
    session_id = running.new_session()
    assert running.semo("terminate", session_id[:13]).code == 0
    assert running.session(session_id).status is SessionStatus.TERMINATED
    listed = running.semo("sessions")
    assert listed.code == 0
    assert session_id[:8] not in listed.out


def test_output_shows_what_was_printed(running: Machine) -> None:
    session_id = running.new_session()
    running.send(session_id, "seq 1000 1100")
    shown = running.semo("output", session_id, "--lines", "50").out.splitlines()
    assert len(shown) == 50
    assert [line for line in shown if line.isdecimal()] == [str(number) for number in range(1052, 1101)]


def test_output_that_is_followed_comes_once_and_in_order(running: Machine) -> None:
    session_id = running.new_session()
    running.send(session_id, "echo begun")
    follower = running.begin("output", "-f", session_id)
    shown = [_read_until(follower, "begun")]
    running.send(session_id, "seq 1000 1300")
    shown.append(_read_until(follower, "1300"))
    # A cleared screen begins anew; nothing from before it comes again.
    running.send(session_id, "clear; echo 2000")
    running.send(session_id, "exit")
    out, err = follower.communicate(timeout=20)
    assert follower.returncode == 0, err
    lines = "".join([*shown, out.decode()]).splitlines()
    assert [int(line) for line in lines if line.isdecimal()] == [*range(1000, 1301), 2000]


def test_output_that_is_followed_skips_nothing_however_fast_it_comes(running: Machine) -> None:
    session_id = running.new_session()
    running.send(session_id, "echo begun")
    follower = running.begin("output", "-f", session_id)
    shown = [_read_until(follower, "begun")]
    # More than the stream brings at once, and more of it in an epoch that is over when it is read.
    running.send(session_id, "seq 100000 112000; printf '\\e[H\\e[2J\\e[3J'; seq 200000 200400")
    shown.append(_read_until(follower, "200400"))
    running.send(session_id, "exit")
    out, err = follower.communicate(timeout=20)
    assert follower.returncode == 0, err
    numbers = [int(line) for line in "".join([*shown, out.decode()]).splitlines() if line.isdecimal()]
    # What was still on the screen when it was cleared is no line of the log.
    first, second = [n for n in numbers if n < 200000], [n for n in numbers if n >= 200000]
    assert first == list(range(100000, 100000 + len(first)))
    assert len(first) > 12001 - 45
    assert second == list(range(200000, 200401))


def _read_until(process: subprocess.Popen[bytes], last: str) -> str:
    """What the process prints, up to the line `last`; the test's own time limit bounds the wait."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != f"{last}\n":
        lines.append(process.stdout.readline().decode())
        assert lines[-1], lines
    return "".join(lines)


def test_an_agent_cli_asks_is_explained_and_answers(running: Machine) -> None:
    cli = write_profile(running.path / "config" / "profiles")
    session_id = running.semo("new", "--profile", NAME, "--role", "BE", "--json").json["session_id"]
    asked = running.semo("send", "--session", session_id, "--wait", "안녕\n@ask 어느 것?")
    assert asked.code == 3
    assert "어느 것?" in asked.err
    why = running.semo("why", session_id[:13])
    assert "an event that the program reported by a hook" in why.out
    assert "event=UserPromptSubmit" in why.out
    answered = running.semo("send", "--session", session_id, "--answer", "--wait", "이것")
    assert answered.code == 0
    assert cli.received() == ["안녕\n@ask 어느 것?"]
