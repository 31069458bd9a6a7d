"""Sessions in iTerm2: `semo up --terminal iterm2`."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.machine import Machine, eventually, new_machine
from tests.iterm2_server.running import RunningITerm2


@dataclass(frozen=True)
class Mac:
    """A machine with iTerm2 on its desktop."""

    machine: Machine
    iterm2: RunningITerm2

    def tabs(self) -> list[str]:
        """The sessions of iTerm2 that are SEMO's."""
        return [session for session in self.iterm2.by_hand("sessions") if self.tag(session)]

    def tag(self, session: str) -> str:
        return str(self.iterm2.by_hand("look", session=session)["variables"].get("user.semo", ""))

    def shown(self, session: str) -> str:
        return "\n".join(row.rstrip() for row in self.iterm2.by_hand("look", session=session)["screen"])


@pytest.fixture(scope="module")
def mac() -> Iterator[Mac]:
    with RunningITerm2.start() as iterm2, new_machine() as machine:
        machine.terminal = "iterm2"
        machine.variables |= iterm2.environment
        machine.up()
        yield Mac(machine, iterm2)


def test_a_prompt_is_answered_and_seen_in_its_tab_and_status_says_why_there(mac: Mac) -> None:
    assert mac.machine.semo("send", "--wait", "echo 안녕").out == "안녕\n"
    assert "안녕" in mac.shown(mac.tabs()[0])
    assert "terminal   iterm2 (--terminal iterm2 asks for it)" in mac.machine.semo("status").out


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
