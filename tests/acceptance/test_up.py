"""From nothing to a ready session and back, by the real command line. These tests build on one another's processes."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.machine import Machine, eventually

FIRST_UP_S = 10.0
SECOND_UP_S = 3.0


def test_two_ups_at_once_lead_to_one_ready_session_within_ten_seconds(machine: Machine) -> None:
    began = time.monotonic()
    both = [machine.begin("up", "--headless", "--json", "--port", "0") for _ in range(2)]
    ended = [(process.communicate(timeout=40), process.returncode) for process in both]
    assert time.monotonic() - began < FIRST_UP_S + SECOND_UP_S
    assert [(code, err) for (_, err), code in ended] == [(0, b""), (0, b"")]
    first, second = (json.loads(out) for (out, _), _ in ended)
    assert first == second
    assert first.keys() == {"url", "publishable_key", "office_id", "session_id", "state_dir"}
    assert first["state_dir"] == str(machine.state)


def test_up_again_joins_within_three_seconds_and_the_session_works(running: Machine) -> None:
    again = running.semo("up", "--headless", "--json")
    assert again.seconds < SECOND_UP_S
    assert again.json == running.semo("up", "--headless", "--json").json
    assert running.semo("send", "--wait", "echo $((6*7))").out == "42\n"


def test_up_for_a_person_says_what_to_type_next(running: Machine) -> None:
    ended = running.semo("up")
    assert (ended.code, ended.err) == (0, "")
    assert "shop" in ended.out
    assert "semo send --wait 'echo hi'" in ended.out
    assert "console is not built yet" in ended.out
    assert "console is not built yet" not in running.semo("up", "--headless").out


def test_status_names_every_process(running: Machine) -> None:
    status = running.semo("status", "--json").json
    processes = {process["name"]: process for process in status["processes"]}
    assert processes.keys() == {"hub", "postgres", "agent", "holder"}
    assert {process["state"] for process in processes.values()} == {"running"}
    assert all(Path(f"/proc/{process['pid']}").exists() for process in processes.values())
    assert processes["hub"]["url"].startswith("http://127.0.0.1:")
    assert [office["name"] for office in status["offices"]] == ["shop"]
    assert status["offices"][0]["sessions"] == {"ready": 1}
    assert status["link"] == "live"


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
    assert running.semo("send", "--wait", f"echo {marker}").code == 0
    logs = "".join(path.read_text(errors="replace") for path in running.state.rglob("*.log"))
    assert marker not in logs
    assert not [secret for secret in _secrets(running.state) if secret in logs]


def test_up_in_another_folder_makes_another_office_on_the_same_hub(running: Machine) -> None:
    other = running.path / "api"
    other.mkdir()
    here = running.up()
    there = running.semo("up", "--headless", "--json", "--office", "services", cwd=other).json
    assert there["url"] == here["url"]
    assert there["office_id"] != here["office_id"]
    assert running.semo("send", "--wait", "pwd", cwd=other).out == f"{other}\n"
    assert running.semo("send", "--wait", "--office", "services", "pwd").out == f"{other}\n"


def test_a_subfolder_belongs_to_the_office_of_its_parent(running: Machine) -> None:
    below = running.repository / "src" / "deep"
    below.mkdir(parents=True)
    assert running.semo("send", "--wait", "echo here", cwd=below).out == "here\n"


def test_sessions_live_on_through_down_and_up(running: Machine) -> None:
    session_id = running.new_session()
    assert running.semo("send", "--session", session_id, "--wait", "kept=yes").code == 0
    down = running.semo("down")
    assert down.code == 0, down
    assert session_id[:8] in down.out
    assert running.semo("sessions").refused_with("does not run here", "semo up")
    running.up()
    assert running.semo("send", "--session", session_id, "--wait", "echo $kept").out == "yes\n"


def test_a_turn_goes_on_while_semo_is_down(running: Machine) -> None:
    session_id = running.new_session()
    flag = running.path / "flag"
    command_id = "0b9d6f0e-8d57-4d27-9f60-2f8a3f3f8a10"
    prompt = f"until [ -e {flag} ]; do read -t 0.05 x; done; (exit 5)"
    sent = running.semo("send", "--session", session_id, "--id", command_id, "--wait", "1", "--json", prompt)
    assert (sent.code, sent.json["stage"]) == (4, "accepted")
    assert running.semo("down").code == 0
    flag.touch()
    running.up()
    ended = running.semo("send", "--session", session_id, "--id", command_id, "--wait", "20", "--json", prompt)
    assert ended.code == 0, ended
    assert ended.json["result"]["exit_status"] == 5


def test_a_killed_hub_and_a_stale_record_are_no_obstacle(running: Machine) -> None:
    hub = json.loads((running.state / "run" / "hub.json").read_text())["pid"]
    os.kill(hub, signal.SIGKILL)
    eventually(lambda: hub not in running.processes(), "the hub is gone")
    assert (running.state / "run" / "hub.json").exists()
    assert {p["name"]: p["state"] for p in running.semo("status", "--json").json["processes"]}["hub"] == "stopped"
    assert running.up()["state_dir"] == str(running.state)
    assert running.semo("send", "--wait", "--session", running.new_session(), "echo back").out == "back\n"


def test_down_again_says_that_nothing_runs_and_can_still_end_the_sessions(machine: Machine) -> None:
    assert machine.semo("down").code == 0
    again = machine.semo("down", "--json").json
    assert (again["stopped"], again["living_sessions"]) == ([], [])
    states = {process["name"]: process["state"] for process in machine.semo("status", "--json").json["processes"]}
    assert states == {"hub": "stopped", "postgres": "stopped", "agent": "stopped", "holder": "running"}
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


def test_help_needs_no_more_than_python_and_a_moment() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "semo_console", "--help"], capture_output=True, text=True, timeout=20, check=True
    )
    assert "Exit codes" in ended.stdout
