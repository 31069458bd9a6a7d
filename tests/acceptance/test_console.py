"""The real console in a real terminal: keys go in, the screen is read. These tests build on one another's sessions."""

import json
import stat
from collections.abc import Iterator
from uuid import UUID

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.consoles import choose, console_of
from tests.acceptance.machine import Machine, eventually
from tests.acceptance.tmux_screen import TmuxScreen

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def console(running: Machine) -> Iterator[TmuxScreen]:
    """The console, opened by `semo` alone, with all sessions on it."""
    with console_of(running) as screen:
        screen.sees("LIVE", absent=["looking for sessions"])
        yield screen


def remembered(machine: Machine) -> dict[str, object]:
    content: dict[str, object] = json.loads((machine.state / "console.json").read_bytes())
    return content


def test_choose_write_and_see_it_accepted_and_its_output_arrive(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="BE")
    tag = choose(console, running, session)
    console.type("i")
    console.sees("WRITE", f"To [{tag} BE]")
    console.type("echo 안녕 $((6*7))")
    console.press("Enter")
    console.sees(f"{tag} #1 queued>picked up>typed>accepted>exit 0", "안녕 42")
    assert running.result(running.send(session, "history 2"))["output"].__str__().count("echo 안녕") == 1


def test_several_lines_arrive_as_one_prompt(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="lines")
    choose(console, running, session)
    console.type("i")
    console.sees("WRITE")
    console.type("for word in 가 나; do")
    console.press("C-j")
    console.type('echo "$word."; done')
    console.press("Enter")
    console.sees("exit 0", "가.", "나.")


def test_a_paste_is_written_down_and_runs_no_key(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="paste")
    choose(console, running, session)
    console.paste("Xxq: echo pasted")
    console.sees("WRITE", "Xxq: echo pasted")
    assert running.session(session).status is SessionStatus.READY


def test_a_question_is_shown_and_answered(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="asker")
    tag = choose(console, running, session)
    console.type("i")
    console.sees("WRITE")
    console.type("echo it's")
    console.press("Enter")
    console.sees("NEEDS YOU", f"? {tag} asker")
    console.press("Escape")
    console.sees("NAV")
    console.type("a")
    console.sees(f"ANSWER {tag} asker", "echo it's", "continuation")
    console.type("'")
    console.press("Enter")
    console.sees(f"{tag} #2 answer", "exit 0", absent=["ANSWER"])
    running.await_status(session, SessionStatus.READY)


def test_a_turn_is_stopped(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="stopper")
    tag = choose(console, running, session)
    running.send(session, "sleep 300", wait=0)
    console.sees(f" 1 {tag} stopper  * working")
    console.type("x")
    console.sees(f"{tag} #1 stop", f" 1 {tag} stopper  ", absent=["* working"])
    running.await_status(session, SessionStatus.READY)


def test_a_prompt_that_waits_is_taken_back_and_is_a_draft_again(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="queue")
    choose(console, running, session)
    running.send(session, "sleep 300", wait=0)
    console.sees("queue  * working")
    console.type("i")
    console.sees("WRITE", "after this turn")
    console.type("echo later")
    console.press("Enter")
    console.sees("(waits for turn)", "U unsend")
    console.press("Escape")
    console.sees("NAV")
    console.type("U")
    console.sees("taken back", "echo later", "draft kept")
    console.type("x")
    running.await_status(session, SessionStatus.READY)


def test_a_session_that_dies_while_selected_stays_with_its_reason(running: Machine, console: TmuxScreen) -> None:
    session = running.new_session(role="mortal")
    tag = choose(console, running, session)
    running.send(session, "exit 3")
    console.sees(f" 1 {tag} mortal  ! failed: ", "status 3")
    console.type("i")
    console.sees("WRITE")
    console.type("hello")
    console.press("Enter")
    console.sees(f"{tag} has ended", "The draft is kept")
    console.press("Escape")
    console.sees("NAV")
    console.type("k")
    console.sees("NAV", absent=[session[:8]])


def test_a_new_session_appears_and_is_ended_after_a_question(running: Machine, console: TmuxScreen) -> None:
    before = {session_id for session_id, _ in running.live_sessions()}
    console.type("n")
    console.sees("NEW SESSION")
    console.type("fresh")
    console.press("Enter")
    console.sees("fresh", "idle", absent=["NEW SESSION"])
    (made,) = {session_id for session_id, _ in running.live_sessions()} - before
    running.await_status(made, SessionStatus.READY)
    tag = choose(console, running, made)
    console.type("X")
    console.sees(f"END {tag}?")
    console.press("Enter")
    eventually(lambda: made not in dict(running.live_sessions()), "the session has ended", within=30)


def test_r26_selection_layout_and_draft_are_there_again_and_everything_went_on(running: Machine) -> None:
    session = running.new_session(role="kept")
    with console_of(running, "console") as screen:
        screen.sees("LIVE", absent=["looking for sessions"])
        tag = choose(screen, running, session)
        flag = running.path / "go-on"
        turn = running.send(session, f"until [ -e {flag} ]; do read -t 0.05 x; done; (exit 5)", wait=0)
        screen.type("+")
        screen.sees(" 2 ")
        screen.type("i")
        screen.sees("WRITE")
        screen.type("half a thought 한글")
        screen.press("Escape")
        screen.sees("NAV", "draft kept")
        screen.type("q")
        assert screen.exit_status() == 0
    assert remembered(running)["selected"] == session
    assert stat.S_IMODE((running.state / "console.json").stat().st_mode) == 0o600
    with console_of(running) as again:
        again.sees(f"> *{tag} kept".replace("> ", ">"), f" 1 {tag} kept", "half a thought 한글", " 2 ", "LIVE")
        flag.touch()
        again.sees(f"{tag} #1 queued>picked up>typed>accepted>exit 5")
        again.type("q")
        assert again.exit_status() == 0
    assert running.result(running.outcome(turn.command.id))["exit_status"] == 5


def test_the_hub_goes_and_comes_back_under_an_open_console(running: Machine, console: TmuxScreen) -> None:
    running.semo("down")
    console.sees("OFFLINE since")
    console.type("?")
    console.sees("KEYS")
    console.press("Escape")
    running.up()
    console.sees("LIVE", absent=["OFFLINE"])


def test_semo_up_in_a_terminal_ends_in_the_console(running: Machine) -> None:
    with console_of(running, "up") as screen:
        screen.sees("NAV", "LIVE")
        screen.type("q")
        assert screen.exit_status() == 0
        assert "SEMO runs for shop" in screen.text()


@pytest.mark.parametrize("size", [(20, 5), (300, 90)])
def test_small_and_large_terminals_are_no_obstacle(running: Machine, size: tuple[int, int]) -> None:
    with console_of(running, cols=size[0], rows=size[1]) as screen:
        screen.sees("NAV")
        for cols, rows in ((200, 60), (21, 6), (80, 24), size):
            screen.resize(cols, rows)
        screen.sees("NAV")
        screen.type("q")
        assert screen.exit_status() == 0


def test_without_a_hub_one_sentence_says_what_to_do(machine: Machine) -> None:
    with console_of(machine, "console", "--state-dir", str(machine.path / "nowhere")) as screen:
        assert screen.exit_status() == 1
        text = " ".join(screen.text().split())
        assert "semo: SEMO does not run here" in text
        assert "Start it with `semo up`." in text
        assert "Traceback" not in text


def test_without_a_terminal_one_sentence_says_so(running: Machine) -> None:
    assert running.semo("console").refused_with("needs a terminal")


def test_no_text_that_was_written_is_in_a_log(running: Machine) -> None:
    logs = b"".join(path.read_bytes() for path in (running.state / "logs").iterdir())
    assert b"half a thought" not in logs
    assert UUID(str(remembered(running)["selected"]))
