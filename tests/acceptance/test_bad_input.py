"""Bad input: one sentence, a non-zero exit code, and nothing half-done."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.acceptance.machine import Machine, new_machine

NOBODY = 65534


@pytest.fixture
def unchanged(running: Machine) -> Iterator[None]:
    """What lives after the test is what lived before it."""
    before = running.live_sessions()
    yield
    assert running.live_sessions() == before


def test_a_stale_pid_file_is_no_obstacle(machine: Machine) -> None:
    """The first test of this file: what a killed process left behind is there before anything runs."""
    run = machine.state / "run"
    run.mkdir(parents=True)
    for name in ("hub", "agent"):
        record = {"pid": os.getpid(), "url": "http://127.0.0.1:9", "started_at": 0}
        (run / f"{name}.json").write_text(json.dumps(record))
    machine.up()


@pytest.mark.usefixtures("unchanged")
def test_an_unknown_role(running: Machine) -> None:
    assert running.semo("send", "--role", "BE", "echo").refused_with("No session has the role 'BE'", "shell")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("verb", [("send", "echo", "--session"), ("terminate",), ("why",)])
def test_an_unknown_session(running: Machine, verb: tuple[str, ...]) -> None:
    assert running.semo(*verb, str(uuid4())).refused_with("There is no session", "shell, idle")


@pytest.mark.usefixtures("unchanged")
def test_an_empty_prompt(running: Machine) -> None:
    assert running.semo("send", "--wait", "").refused_with("The prompt is empty")
    assert running.semo("send", "--wait", "-", stdin=b" \n\t").refused_with("The prompt is empty")


@pytest.mark.usefixtures("unchanged")
def test_a_prompt_of_300_kb(running: Machine) -> None:
    assert running.semo("send", "--wait", "-", stdin=b"x" * 300_000).refused_with("262144", "file")


@pytest.mark.usefixtures("unchanged")
def test_standard_input_that_is_no_text(running: Machine) -> None:
    assert running.semo("send", "--wait", "-", stdin=b"\xff\xfe").refused_with("not UTF-8")


def test_the_same_command_id_with_another_body(running: Machine) -> None:
    sent = running.send(running.told["session_id"], "echo one").command.id
    again = running.semo("send", "--id", str(sent), "--wait", "echo two")
    assert again.refused_with("used before", "another content")
    assert running.semo("send", "--id", str(sent), "--wait", "echo one").out == "one\n"


@pytest.mark.usefixtures("unchanged")
def test_a_folder_for_a_session_that_does_not_exist(running: Machine) -> None:
    ended = running.semo("new", "--cwd", "no/such/folder")
    assert ended.refused_with(str(running.repository / "no/such/folder"))


@pytest.mark.usefixtures("unchanged")
def test_an_unknown_profile(running: Machine) -> None:
    assert running.semo("new", "--profile", "no-such").refused_with("no-such", "shell")


@pytest.mark.usefixtures("unchanged")
def test_a_cli_that_is_paused_on_a_host(running: Machine) -> None:
    [row] = running.ask(lambda link: link.select("agent_hosts"))
    host = str(row["name"])
    assert running.semo("breaker", "open", host, "shell", "--reason", "점검 중").code == 0
    refused = running.semo("new").refused_with(f"shell on {host}", "paused by hand (점검 중)", "semo breaker reset")
    listed = running.semo("breaker")
    lifted = running.semo("breaker", "reset")
    assert refused
    assert listed.out.split() == [host, "shell", "paused", "by", "hand", "점검", "중"]
    assert (lifted.code, lifted.err) == (0, f"shell on {host}: ok.\n")
    assert running.semo("breaker", "--json").json[0]["state"] == "closed"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("open", "no-such", "shell"), ("No host 'no-such'", "There are:")),
        (("reset", "no-such"), ("No host 'no-such'",)),
        (("open", "no-such"), ("PROFILE",)),
        (("reset",), ("Nothing is paused here",)),
        (("--json", "reset"), ("semo breaker reset",)),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_breaker_that_is_not_there(running: Machine, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    assert running.semo("breaker", *arguments).refused_with(*parts)


@pytest.mark.usefixtures("unchanged")
def test_a_role_that_is_too_long(running: Machine) -> None:
    assert running.semo("new", "--role", "x" * 41).refused_with("--role")


def test_a_folder_without_office(running: Machine) -> None:
    assert running.semo("send", "echo", cwd=running.path).refused_with("belongs to no office", "semo up", "shop")


def test_a_current_folder_that_is_gone(running: Machine) -> None:
    gone = running.path / "gone"
    gone.mkdir()
    leave = f'rmdir "{gone}" && exec "{sys.executable}" -m semo_console send echo'
    ended = subprocess.run(
        ["/bin/sh", "-c", leave],
        cwd=gone,
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "semo: The current folder does not exist any more; go to another one.\n"


def test_another_port_than_the_one_that_is_served(running: Machine) -> None:
    assert running.semo("up", "--headless", "--port", "1").refused_with("runs at http://127.0.0.1:", "semo down")


def test_nothing_runs(machine: Machine) -> None:
    nowhere = machine.path / "nowhere"
    assert machine.semo("send", "echo", state=nowhere).refused_with("does not run here", "semo up")
    assert not nowhere.exists()


def test_a_port_in_use() -> None:
    with new_machine() as machine, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = machine.semo("up", "--headless", "--port", port)
        assert ended.refused_with("start the hub", f"port {port} is in use", "--port")
        assert machine.processes() == {}


def test_a_state_folder_below_a_file(machine: Machine) -> None:
    file = machine.path / "file"
    file.touch()
    assert machine.semo("up", "--headless", state=file / "state").refused_with(str(file), "--state-dir")


def test_a_state_folder_that_may_not_be_written(machine: Machine) -> None:
    """As root nothing is forbidden, so the command runs as a user without rights."""
    folder = machine.path / "locked"
    folder.mkdir(mode=0o755)
    machine.path.chmod(0o755)
    script = f"""
import os, sys
from semo_console.cli import main
import semo_console.cli.actions.startup
main(["status"])
if os.getuid() == 0:
    # Only now that all is loaded: that user may not even read where this Python lives.
    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
else:
    os.chmod({str(folder)!r}, 0o500)
sys.exit(main(["up", "--headless", "--state-dir", {str(folder / "state")!r}]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**machine.environment, "HOME": "/"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert ended.stderr.count("\n") == 1
    assert str(folder / "state") in ended.stderr
    assert "--state-dir" in ended.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["hub/keys.json", "hub/identities.json", "credentials/operator.json"])
def test_corrupt_json_in_the_state_folder(machine: Machine, name: str) -> None:
    state = machine.path / f"corrupt-{Path(name).stem}"
    path = state / name
    path.parent.mkdir(parents=True)
    path.write_text("{")
    ended = machine.semo("up", "--headless", "--port", "0", state=state)
    assert ended.refused_with(str(path))
    assert path.read_text() == "{"
    assert machine.processes() == {} or all(str(state) not in command for command in machine.processes().values())


def test_corrupt_credentials_while_it_runs(running: Machine) -> None:
    path = running.state / "credentials" / "operator.json"
    intact = path.read_text()
    try:
        path.write_text("{")
        assert running.semo("send", "echo").refused_with(str(path), "semo up")
    finally:
        path.write_text(intact)


def test_a_database_that_is_not_named(machine: Machine) -> None:
    assert machine.semo("migrate").refused_with("SEMO_DATABASE_URL", "--database-url")


def test_a_database_that_is_not_there(machine: Machine) -> None:
    address = f"host={machine.path} dbname=none user=nobody password=hunter2"
    ended = machine.semo("migrate", "--database-url", address)
    assert ended.refused_with("database")
    assert "hunter2" not in ended.err
