"""Whatever dies is started again or ends with its supervisor: nothing is lost, and no process is left over."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.jobs import add, await_status
from tests.acceptance.machine import Machine, eventually, new_machine

pytestmark = pytest.mark.timeout(120)

DEADLINE = 40.0  # s

KINDS = {
    "semo_console.supervisor": "supervisor",
    "semo_console hub": "hub",
    "semo_console agent": "agent",
    "semo_console serve": "server",
    "semo_agent.holder": "holder",
    "bin/postgres": "postgres",
    "postgres:": "postgres",
}
ALL = {"supervisor", "hub", "agent", "server", "postgres"}


@pytest.fixture(scope="module")
def running() -> Iterator[Machine]:
    with new_machine() as machine:
        machine.server = True
        machine.up()
        yield machine


def kinds(machine: Machine) -> set[str]:
    """What runs of a machine, but for the terminals: those are meant to live on."""
    commands = machine.processes().values()
    found = {next((kind for mark, kind in KINDS.items() if mark in command), "program") for command in commands}
    return found - {"holder", "program"}


def pid_of(machine: Machine, name: str) -> int:
    if name == "postgres":
        return int((machine.state / "postgres" / "data" / "postmaster.pid").read_text().partition("\n")[0])
    return machine.pid_of(name)


def await_another(machine: Machine, name: str, before: int) -> None:
    """Until another process serves under this name."""

    def has_come() -> bool:
        try:
            return pid_of(machine, name) != before
        except (FileNotFoundError, ValueError):
            return False

    eventually(has_come, f"another {name} runs", within=DEADLINE)


def strike(machine: Machine, name: str, number: signal.Signals) -> None:
    """End one process and see it come back without anybody's doing."""
    before = pid_of(machine, name)
    os.kill(before, number)
    await_another(machine, name, before)


@contextmanager
def long_turn(machine: Machine, session_id: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """A `semo send --wait` under way, and how its turn ends: with `over` as output."""
    flag = machine.path / str(uuid4())
    prompt = f"until [ -e {flag} ]; do read -t 0.05 x; done; echo over"
    with machine.begin("send", "--wait", "--session", session_id, prompt) as waiting:
        try:
            is_working = lambda: machine.session(session_id).status is SessionStatus.EXECUTING  # noqa: E731
            eventually(is_working, f"{session_id} works", within=DEADLINE)
            yield waiting, flag.touch
        finally:
            waiting.kill()


def answer_of(waiting: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    out, err = waiting.communicate(timeout=DEADLINE)
    return waiting.returncode, out or err


def restarts_of(machine: Machine, name: str) -> int:
    record = json.loads((machine.state / "run" / "supervisor.json").read_bytes())
    [service] = [service for service in record["services"] if service["name"] == name]
    return int(service["restarts"])


@pytest.mark.parametrize(
    ("name", "number", "why"),
    [
        ("agent", signal.SIGKILL, "ended by SIGKILL"),
        ("agent", signal.SIGTERM, "ended with exit status 0"),
        ("hub", signal.SIGTERM, "ended with exit status 0"),
    ],
)
def test_what_ends_without_down_is_started_again_and_status_says_why(
    running: Machine, name: str, number: signal.Signals, why: str
) -> None:
    restarts = restarts_of(running, name)
    strike(running, name, number)
    [status] = [each for each in running.semo("status", "--json").json["processes"] if each["name"] == name]
    assert (status["state"], status["restarts"], status["last_exit"]["why"]) == ("running", restarts + 1, why)
    session_id = running.told["session_id"]
    assert running.semo("send", "--wait", "--session", session_id, "echo $((6*7))").out == "42\n"


def test_a_hub_that_was_started_again_serves_at_its_old_address(running: Machine) -> None:
    assert running.semo("up", "--headless", "--json").json["url"] == running.told["url"]


def test_status_tells_a_person_how_often_something_was_started_again_and_why(running: Machine) -> None:
    [line] = [line for line in running.semo("status").out.splitlines() if line.startswith("agent")]
    assert re.search(r"running .*\(restarted \d+ times, last ended at \d\d:\d\d:\d\d: ended with exit status 0\)", line)


@pytest.mark.parametrize("name", ["postgres", "hub", "agent"])
def test_a_turn_ends_completed_for_who_waits_whatever_is_killed_meanwhile(running: Machine, name: str) -> None:
    session_id = running.new_session()
    with long_turn(running, session_id) as (waiting, end_turn):
        strike(running, name, signal.SIGKILL)
        end_turn()
        assert answer_of(waiting) == (0, b"over\n")
    assert running.semo("send", "--wait", "--session", session_id, "echo next").out == "next\n"
    eventually(lambda: kinds(running) == ALL, "everything runs", within=DEADLINE)


def test_a_job_is_done_though_the_server_is_killed_in_the_middle_of_it(running: Machine) -> None:
    flag, begun = running.path / "job-may-end", running.path / "job-began"
    job_id = add(running, "Long", f"echo begun >> {begun}; until [ -e {flag} ]; do read -t 0.05 x; done; echo over")
    eventually(begun.exists, "the job has begun", within=DEADLINE)
    strike(running, "server", signal.SIGKILL)
    flag.touch()
    job = await_status(running, job_id, "done")
    assert (job["evidence"]["output"], len(job["attempts"])) == ("over", 1)
    assert begun.read_text() == "begun\n"


def test_with_a_killed_supervisor_all_end_and_up_takes_the_turn_up_again(running: Machine) -> None:
    session_id = running.new_session()
    with long_turn(running, session_id) as (waiting, end_turn):
        os.kill(pid_of(running, "supervisor"), signal.SIGKILL)
        eventually(lambda: kinds(running) == set(), "everything has ended", within=DEADLINE)
        states = {each["name"]: each["state"] for each in running.semo("status", "--json").json["processes"]}
        assert states.pop("holder") == "running"
        assert set(states.values()) == {"stopped"}
        running.up()
        end_turn()
        assert answer_of(waiting) == (0, b"over\n")


def test_up_right_after_the_supervisor_was_killed_starts_everything_once(running: Machine) -> None:
    os.kill(pid_of(running, "supervisor"), signal.SIGKILL)
    running.up()
    commands = list(running.processes().values())
    for mark in ("semo_console.supervisor", "semo_console hub", "semo_console agent", "bin/postgres"):
        assert len([command for command in commands if mark in command]) == 1, (mark, commands)


def test_sigterm_to_a_waiting_send_leaves_the_prompt_alone(running: Machine) -> None:
    session_id = running.new_session()
    with long_turn(running, session_id) as (waiting, end_turn):
        waiting.terminate()
        code, said = answer_of(waiting)
        assert code == 143
        assert b"the prompt goes on" in said
        assert running.session(session_id).status is SessionStatus.EXECUTING
        end_turn()
        running.await_status(session_id, SessionStatus.READY)


@pytest.mark.parametrize("name", ["supervisor", "agent", "server"])
def test_down_leaves_no_process_whichever_has_just_been_killed(running: Machine, name: str) -> None:
    running.up()
    eventually((running.state / "run" / "server.json").exists, "the server serves", within=DEADLINE)
    os.kill(pid_of(running, name), signal.SIGKILL)
    ended = running.semo("down")
    assert ended.code == 0, ended
    assert kinds(running) == set()


def test_sigterm_to_the_supervisor_ends_its_services_in_order(running: Machine) -> None:
    running.up()
    eventually((running.state / "run" / "server.json").exists, "the server serves", within=DEADLINE)
    log = running.state / "logs" / "supervisor.log"
    before = log.stat().st_size
    os.kill(pid_of(running, "supervisor"), signal.SIGTERM)
    eventually(lambda: kinds(running) == set(), "everything has ended", within=DEADLINE)
    lines = [json.loads(line) for line in log.read_text()[before:].splitlines()]
    assert [(line["service"], line["why"]) for line in lines if line["event"] == "stopped"] == [
        ("server", "ended with exit status 0"),
        ("agent", "ended with exit status 0"),
        ("hub", "ended with exit status 0"),
    ]


def test_nothing_is_left_after_down_with_its_sessions(running: Machine) -> None:
    running.up()
    assert running.semo("down", "--end-sessions").code == 0
    assert running.processes() == {}


@pytest.mark.parametrize(
    ("number", "code", "sign"), [(signal.SIGINT, 130, "supervisor.json"), (signal.SIGTERM, 143, "hub.json")]
)
def test_an_up_that_is_interrupted_leaves_nothing_that_it_has_started(
    number: signal.Signals, code: int, sign: str
) -> None:
    with new_machine() as machine, machine.begin("up", "--headless", "--port", "0") as up:
        eventually(Path(machine.state, "run", sign).exists, f"{sign} is there", within=DEADLINE)
        up.send_signal(number)
        out, err = up.communicate(timeout=DEADLINE)
        assert (up.returncode, out, err) == (code, b"", b"")
        assert kinds(machine) == set()
