"""One prompt, all the way: `semo send` reaches a real shell and brings back a true result."""

import signal
from uuid import uuid4

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.machine import Machine

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
    assert running.semo("send", "--session", home, "--wait", "echo alive").out == "alive\n"


def test_a_shell_that_exits_ends_the_session(running: Machine) -> None:
    session_id = running.new_session()
    ended = running.semo("send", "--session", session_id, "--wait", "--json", "exit 3")
    assert ended.code == 5
    assert (ended.json["success"], ended.json["error"]) == (False, "session_exited")
    assert ended.json["result"]["exit_status"] == 3
    assert running.session(session_id).status is SessionStatus.TERMINATED
    assert running.semo("send", "--session", session_id, "echo").refused_with("has ended")


def test_an_open_quote_asks_within_two_seconds_and_an_answer_ends_it(running: Machine) -> None:
    session_id = running.new_session()
    command_id = str(uuid4())
    prompt = ("send", "--session", session_id, "--id", command_id, "--json", "--wait")
    asked = running.semo(*prompt, "echo it's")
    assert asked.code == 3, asked
    assert (asked.json["waiting_input"], asked.json["status"]) == (True, "processing")
    assert "continuation" in asked.json["reason"]
    assert asked.seconds < ASKS_WITHIN_S + 1.5  # the interpreter's own start is part of it
    assert running.semo("send", "--session", session_id, "--answer", "--wait", "done'").code == 0
    ended = running.semo(*prompt, "echo it's")
    assert ended.code == 0, ended
    assert ended.json["result"]["output"].endswith("its\ndone")


def test_an_exclamation_mark_is_text(running: Machine, home: str) -> None:
    assert running.semo("send", "--session", home, "--wait", 'echo "a!b"').out == "a!b\n"


def test_a_prompt_from_standard_input_may_have_many_lines(running: Machine, home: str) -> None:
    ended = running.semo("send", "--session", home, "--wait", "-", stdin=b"echo one\necho two\n")
    assert (ended.code, ended.out) == (0, "one\ntwo\n")


def test_without_wait_it_returns_at_once_with_id_and_stage(running: Machine, home: str) -> None:
    told = running.semo("send", "--session", home, "--json", "echo later").json
    assert (told["success"], told["stage"]) == (None, "queued")
    again = running.semo("send", "--session", home, "--id", told["command_id"], "--wait", "--json", "echo later")
    assert again.json["result"]["output"] == "later"


def test_a_wait_that_ends_leaves_the_prompt_alone(running: Machine) -> None:
    session_id = running.new_session()
    flag = running.path / str(uuid4())
    prompt = f"until [ -e {flag} ]; do read -t 0.05 x; done; echo over"
    command_id = str(uuid4())
    waiting = running.semo("send", "--session", session_id, "--id", command_id, "--wait", "1", "--json", prompt)
    assert (waiting.code, waiting.json["status"]) == (4, "processing")
    flag.touch()
    ended = running.semo("send", "--session", session_id, "--id", command_id, "--wait", prompt)
    assert (ended.code, ended.out) == (0, "over\n")


def test_ctrl_c_ends_the_wait_and_says_that_the_prompt_goes_on(running: Machine) -> None:
    session_id = running.new_session()
    process = running.begin("send", "--session", session_id, "--wait", "sleep 60")
    running.await_status(session_id, SessionStatus.EXECUTING)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert b"the prompt goes on" in err
    assert running.session(session_id).status is SessionStatus.EXECUTING
    assert running.semo("terminate", session_id).code == 0


def test_an_answer_and_a_cancel_pass_a_waiting_prompt(running: Machine) -> None:
    session_id = running.new_session()
    to_session = ("send", "--session", session_id, "--json")
    asks = running.semo(*to_session, "--wait", "echo it's").json
    waiting = running.semo(*to_session, "echo waited").json
    assert (asks["waiting_input"], waiting["status"]) == (True, "pending")
    assert running.semo(*to_session, "--answer", "--wait", "still open").code == 0
    assert running.semo("cancel", session_id).code == 0
    cancelled = running.semo(*to_session, "--id", asks["command_id"], "--wait", "echo it's").json
    assert (cancelled["success"], cancelled["error"]) == (False, "cancelled")
    ended = running.semo(*to_session, "--id", waiting["command_id"], "--wait", "echo waited").json
    assert (ended["success"], ended["result"]["output"]) == (True, "waited")


def test_cancel_stops_what_runs_and_leaves_the_session_ready(running: Machine) -> None:
    session_id = running.new_session()
    sent = running.semo("send", "--session", session_id, "--json", "sleep 60").json
    running.await_status(session_id, SessionStatus.EXECUTING)
    assert running.semo("cancel", session_id).code == 0
    told = running.semo("send", "--session", session_id, "--id", sent["command_id"], "--json", "--wait", "sleep 60")
    assert (told.code, told.json["error"]) == (5, "cancelled")
    assert running.session(session_id).status is SessionStatus.READY
    idle = running.semo("cancel", session_id)
    assert (idle.code, idle.err) == (0, "Nothing ran there; nothing was sent.\n")


def test_a_prompt_that_waits_can_be_taken_back(running: Machine) -> None:
    session_id = running.new_session()
    running.semo("send", "--session", session_id, "sleep 60")
    waiting = running.semo("send", "--session", session_id, "--json", "echo never").json
    assert running.semo("cancel", "--command", waiting["command_id"]).code == 0
    told = running.semo(
        "send", "--session", session_id, "--id", waiting["command_id"], "--json", "--wait", "echo never"
    )
    assert (told.code, told.json["error"]) == (5, "cancelled")
    assert running.semo("terminate", session_id).code == 0


def test_a_role_finds_its_session(running: Machine) -> None:
    first, second = running.new_session(role="BE"), running.new_session(role="BE")
    running.semo("send", "--session", first, "sleep 60")
    running.await_status(first, SessionStatus.EXECUTING)
    assert running.semo("send", "--role", "BE", "--wait", "--json", "echo").json["session_id"] == second
    assert running.semo("terminate", first).code == 0


def test_terminate_ends_program_and_session(running: Machine) -> None:
    session_id = running.new_session()
    assert running.semo("terminate", session_id[:13]).code == 0
    assert running.session(session_id).status is SessionStatus.TERMINATED
    assert session_id[:8] not in running.semo("sessions").out


def test_output_shows_what_was_printed(running: Machine) -> None:
    session_id = running.new_session()
    running.semo("send", "--session", session_id, "--wait", "seq 1000 1100")
    shown = running.semo("output", session_id, "--lines", "50").out.splitlines()
    assert len(shown) == 50
    assert [line for line in shown if line.isdecimal()] == [str(n) for n in range(1100 - 48, 1101)]


def test_output_that_is_followed_comes_once_and_in_order(running: Machine) -> None:
    session_id = running.new_session()
    follower = running.begin("output", "-f", session_id)
    running.semo("send", "--session", session_id, "--wait", "seq 1000 1300")
    running.semo("send", "--session", session_id, "--wait", "exit")
    out, err = follower.communicate(timeout=20)
    assert follower.returncode == 0, err
    assert [int(line) for line in out.decode().splitlines() if line.isdecimal()] == list(range(1000, 1301))
