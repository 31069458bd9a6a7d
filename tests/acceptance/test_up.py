"""From nothing to a ready session and back, by the real command line. These tests build on one another's processes."""

import json
import os
import signal
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from semo_office.models import SessionStatus
from tests.acceptance.machine import Machine, eventually

FIRST_UP_S = 10.0
SECOND_UP_S = 3.0
START_S = 1.0  # of the command itself, on a machine that has nothing else to do


@pytest.fixture(scope="module")
def slowness(machine: Machine) -> float:
    """How many times longer than on an idle machine things take now, by the start of the command itself."""
    return max(1.0, machine.semo("status", state=machine.path / "nowhere").seconds / START_S)


def test_two_ups_at_once_lead_to_one_ready_session_within_ten_seconds(machine: Machine, slowness: float) -> None:
    began = time.monotonic()
    both = [machine.begin("up", "--headless", "--json", "--port", "0", "--terminal", "pty") for _ in range(2)]
    ended = [(process.communicate(timeout=40), process.returncode) for process in both]
    assert time.monotonic() - began < FIRST_UP_S * slowness
    assert [(code, err) for (_, err), code in ended] == [(0, b""), (0, b"")]
    first, second = (json.loads(out) for (out, _), _ in ended)
    assert first == second
    assert first.keys() == {"url", "publishable_key", "office_id", "session_id", "state_dir"}
    assert first["state_dir"] == str(machine.state)


def test_up_again_joins_within_three_seconds_and_the_session_works(running: Machine, slowness: float) -> None:
    again = running.semo("up", "--headless", "--json")
    assert again.seconds < SECOND_UP_S * slowness
    assert again.json == running.told
    assert running.semo("send", "--wait", "echo $((6*7))").out == "42\n"


def test_up_for_a_person_says_what_to_type_next(running: Machine) -> None:
    ended = running.semo("up")
    assert (ended.code, ended.err) == (0, "")
    assert "shop" in ended.out
    assert "semo send --wait 'echo hi'" in ended.out
    assert "semo                          the console" in ended.out


def test_status_names_every_process(running: Machine) -> None:
    eventually((running.state / "run" / "server.json").exists, "the server serves")
    status = running.semo("status", "--json").json
    processes = {process["name"]: process for process in status["processes"]}
    assert processes.keys() == {"supervisor", "hub", "postgres", "agent", "server", "holder"}
    assert {process["state"] for process in processes.values()} == {"running"}
    assert all(Path(f"/proc/{process['pid']}").exists() for process in processes.values())
    assert processes["hub"]["url"].startswith("http://127.0.0.1:")
    assert [office["name"] for office in status["offices"]] == ["shop"]
    assert status["offices"][0]["sessions"] == {"ready": 1}
    assert status["link"] == "live"
    assert datetime.fromisoformat(status["link_since"]) < datetime.now(UTC)


def test_what_runs_in_the_background_has_no_secrets_and_no_terminal(running: Machine) -> None:
    secrets = _secrets(running.state)
    assert secrets
    for pid, command in running.processes().items():
        environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
        assert not [secret for secret in secrets if secret in command or secret in environment]
        assert os.getsid(pid) != os.getsid(0)


def test_files_are_for_their_owner_only(running: Machine) -> None:
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in running.state.rglob("*") if not path.is_symlink()}
    assert [path for path, mode in modes.items() if mode & 0o077] == []


def test_logs_hold_neither_prompts_nor_keys(running: Machine) -> None:
    marker = "remarkable-prompt"
    running.send(running.told["session_id"], f"echo {marker}")
    logs = "".join(path.read_text(errors="replace") for path in running.state.rglob("*.log"))
    assert marker not in logs
    assert not [secret for secret in _secrets(running.state) if secret in logs]


def test_up_in_another_folder_makes_another_office_on_the_same_hub(running: Machine) -> None:
    other = running.path / "api"
    other.mkdir()
    there = running.semo("up", "--headless", "--json", "--office", "services", cwd=other).json
    assert there["url"] == running.told["url"]
    assert there["office_id"] != running.told["office_id"]
    assert running.semo("send", "--wait", "--office", "services", "pwd").out == f"{other}\n"


def test_a_subfolder_belongs_to_the_office_of_its_parent(running: Machine) -> None:
    below = running.repository / "src" / "deep"
    below.mkdir(parents=True)
    assert running.semo("send", "--wait", "echo here", cwd=below).out == "here\n"


def test_r26_sessions_and_their_turns_go_on_while_semo_is_down(running: Machine) -> None:
    idle, busy = running.new_session(), running.new_session()
    flag = running.path / "flag"
    running.send(idle, "kept=yes")
    turn = running.send(busy, f"until [ -e {flag} ]; do read -t 0.05 x; done; (exit 5)", wait=0)
    running.await_status(busy, SessionStatus.EXECUTING)
    down = running.semo("down")
    assert down.code == 0, down
    assert f": working {busy[:8]}; idle " in down.out
    assert idle[:8] in down.out
    assert running.semo("sessions").refused_with("does not run here", "semo up")
    flag.touch()
    running.up()
    assert running.result(running.outcome(turn.command.id))["exit_status"] == 5
    assert running.result(running.send(idle, "echo $kept"))["output"] == "yes"


def test_migrate_finds_that_the_hub_has_applied_everything(running: Machine) -> None:
    address = f"host={running.state / 'postgres'} dbname=postgres user=postgres"
    ended = running.semo("migrate", "--database-url", address)
    assert (ended.code, ended.out, ended.err) == (0, "", "Everything was applied before.\n")


def test_up_joins_a_supervisor_whose_hub_was_just_killed(running: Machine) -> None:
    hub = running.pid_of("hub")
    os.kill(hub, signal.SIGKILL)
    eventually(lambda: hub not in running.processes(), "the hub is gone")
    running.up()
    assert running.result(running.send(running.new_session(), "echo back"))["output"] == "back"


def test_down_again_says_that_nothing_runs_and_can_still_end_the_sessions(machine: Machine) -> None:
    assert machine.semo("down").code == 0
    again = machine.semo("down", "--json").json
    assert (again["stopped"], again["living_sessions"]) == ([], [])
    states = {process["name"]: process["state"] for process in machine.semo("status", "--json").json["processes"]}
    assert states.pop("holder") == "running"
    assert states == dict.fromkeys(("supervisor", "hub", "postgres", "agent"), "stopped")
    assert machine.semo("down", "--end-sessions", "--json").json["ended_sessions"]
    assert machine.processes() == {}


@pytest.mark.parametrize("verb", ["status", "down"])
def test_looking_makes_no_state_folder(machine: Machine, verb: str) -> None:
    nowhere = machine.path / "nowhere"
    assert machine.semo(verb, state=nowhere).code == 0
    assert not nowhere.exists()


def _secrets(state: Path) -> list[str]:
    """Every key and token in the state folder."""
    found: list[str] = []
    for path in [*(state / "credentials").glob("*.json"), state / "hub" / "keys.json"]:
        content: dict[str, Any] = json.loads(path.read_text())
        found += [v for k, v in content.items() if isinstance(v, str) and ("secret" in k or "token" in k)]
    return found
