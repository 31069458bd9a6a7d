"""Sessions in iTerm2: `semo up --terminal iterm2`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.consoles import choose, console_of
from tests.acceptance.jobs import Gate, see_prompt_found_again, see_three_jobs
from tests.acceptance.mac import Mac, new_mac
from tests.acceptance.machine import eventually
from tests.acceptance.receivers import TEXTS, Receivers, see_arrive

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def mac() -> Iterator[Mac]:
    with new_mac() as mac:
        Receivers(mac.machine).install()
        mac.machine.up()
        yield mac


def test_a_prompt_is_answered_and_seen_in_its_tab_and_status_says_why_there(mac: Mac) -> None:
    assert mac.machine.semo("send", "--wait", "echo 안녕").out == "안녕\n"
    assert "안녕" in mac.shown(mac.tabs()[0])
    assert "terminal   iterm2 (--terminal iterm2 asks for it)" in mac.machine.semo("status").out


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_arrives_in_a_tab_as_it_was_sent_once_and_with_enter_by_itself(mac: Mac, text: str) -> None:
    see_arrive(mac.machine, text)


def test_the_console_sends_to_a_tab_and_shows_what_comes_of_it(mac: Mac) -> None:
    session = mac.machine.new_session(role="BE")
    with console_of(mac.machine) as screen:
        screen.sees("LIVE", absent=["looking for sessions"])
        tag = choose(screen, mac.machine, session)
        screen.type("i")
        screen.sees("WRITE", f"To [{tag} BE]")
        screen.type("echo 안녕 $((6*7))")
        screen.press("Enter")
        screen.sees(f"{tag} #1 queued>picked up>typed>accepted>exit 0", "안녕 42")
        screen.press("Escape")
        screen.sees("NAV")
        screen.type("q")
        assert screen.exit_status() == 0
    assert "안녕 42" in mac.shown(mac.tabs()[-1])


def test_jobs_in_tabs_wait_for_one_another_and_are_retried_by_hand(mac: Mac, tmp_path: Path) -> None:
    see_three_jobs(mac.machine, tmp_path)


def test_a_server_that_is_killed_in_the_middle_of_a_job_finds_its_prompt_again(mac: Mac, tmp_path: Path) -> None:
    see_prompt_found_again(mac.machine, Gate(tmp_path))


def test_no_program_and_no_log_has_the_cookie(mac: Mac) -> None:
    seen = mac.machine.result(mac.machine.send(mac.machine.new_session(), "env | grep -c ITERM2 || true"))
    assert seen["output"] == "0"
    assert mac.iterm2.environment["ITERM2_COOKIE"] not in (mac.machine.state / "logs" / "agent.log").read_text()


def test_a_turn_goes_on_while_everything_else_is_down(mac: Mac) -> None:
    machine = mac.machine
    session = machine.new_session()
    go, done = machine.path / "go", machine.path / "done"
    turn = machine.send(session, f"until [ -e {go} ]; do read -t 0.05 x; done; seq 3; touch {done}", wait=0)
    machine.await_status(session, SessionStatus.EXECUTING)
    assert machine.semo("down").code == 0
    go.touch()
    eventually(done.exists, "the turn has ended")
    machine.up()
    assert machine.result(machine.outcome(turn.command.id))["output"] == "1\n2\n3"
    assert machine.result(machine.send(session, "echo next"))["output"] == "next"


def test_a_restart_of_its_api_during_a_turn_changes_nothing(mac: Mac) -> None:
    machine = mac.machine
    session = machine.new_session()
    turn = machine.send(session, "read -t 0.3 x; echo done", wait=0)
    machine.await_status(session, SessionStatus.EXECUTING)
    mac.iterm2.by_hand("restart_api")
    assert machine.result(machine.outcome(turn.command.id))["output"] == "done"
    assert machine.result(machine.send(machine.new_session(), "echo again"))["output"] == "again"


def test_a_tab_that_is_closed_by_hand_ends_its_session_and_says_so(mac: Mac) -> None:
    before = set(mac.tabs())
    session = mac.machine.new_session()
    [tab] = set(mac.tabs()) - before
    mac.iterm2.by_hand("close_tab", session=tab, undo=0.0)
    mac.machine.await_status(session, SessionStatus.TERMINATED)
    assert "its tab was closed" in str(mac.machine.session(session).reason)


def test_with_iterm2_its_sessions_end_and_say_why_and_a_new_one_works(mac: Mac) -> None:
    session = mac.machine.new_session()
    agent = mac.machine.pid_of("agent")
    mac.iterm2.kill()
    mac.iterm2.launch()
    mac.machine.await_status(session, SessionStatus.TERMINATED)
    assert mac.machine.session(session).reason == "iTerm2 died"
    assert mac.machine.result(mac.machine.send(mac.machine.new_session(), "echo again"))["output"] == "again"
    assert mac.machine.pid_of("agent") == agent


def test_end_sessions_leaves_no_process(mac: Mac) -> None:
    mac.machine.new_session()
    assert mac.machine.semo("down", "--end-sessions", "--json").json["ended_sessions"]
    assert mac.machine.processes() == {}
    assert mac.tabs() == []
