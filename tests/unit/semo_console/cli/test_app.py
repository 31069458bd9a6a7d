import os
import subprocess
import sys
from pathlib import Path

import pytest

from semo_agent import agent
from semo_console.cli import main
from semo_console.cli.app import app
from semo_console.cli.exits import ExitCode
from semo_console.errors import Superseded
from semo_console.supervisor.service import SUPERSEDED_STATUS

ROOT = Path(__file__).parents[4]
HEAVY = (
    "textual",
    "supabase",
    "realtime",
    "httpx",
    "pydantic",
    "psycopg",
    "starlette",
    "uvicorn",
    "fastapi",
    "asyncio",
    "rich",
)
VERBS = [command.callback.__name__ for command in app.registered_commands if command.callback]


def test_help_loads_neither_a_library_of_the_office_nor_a_server() -> None:
    script = f"""
import sys
from semo_console.cli import main
assert main(["--help"]) == 0
loaded = {{name.partition(".")[0] for name in sys.modules}}
sys.exit(" ".join(sorted(loaded & set({HEAVY!r}))) or 0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_command_alone_prints_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert all(f"\n  {verb} " in printed for verb in VERBS)


def test_help_documents_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"\n    {code.value} " in printed for code in ExitCode)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_takes_a_state_folder(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "Example" in printed
    assert f" semo {verb}" in printed.partition("Example")[2]
    assert "--state-dir" in printed


@pytest.mark.parametrize("verb", VERBS)
def test_the_line_of_every_verb_fits_into_the_list(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {verb} "))
    assert not line.endswith("...")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sned"], "No such command 'sned'"),
        (["send"], "Missing argument 'TEXT|-'"),
        (["send", "--wait=soon", "x"], "Invalid value for '--wait'"),
        (["send", "--wait=nan", "x"], "Invalid value for '--wait'"),
        (["send", "--wait=-1", "x"], "Invalid value for '--wait'"),
        (["send", "--turn-limit=0", "x"], "Invalid value for '--turn-limit'"),
        (["send", "--turn-limit=nan", "x"], "Invalid value for '--turn-limit'"),
        (["send", "--id", "7", "x"], "Invalid value for '--id'"),
        (["send", "--role", "BE", "--session", "3f", "x"], "give --role or --session, not both"),
        (["up", "--port", "65536"], "Invalid value for '--port'"),
        (
            ["cancel", "3f", "--command", "0b9d6f0e-8d57-4d27-9f60-2f8a3f3f8a10"],
            "give a session or --command, not both",
        ),
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("semo: ")
    assert sentence in captured.err
    assert captured.err.count("\n") == 1


def test_an_unexpected_error_is_kept_in_the_log_without_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("".join(("the prompt: ", "sec", "ret")))

    monkeypatch.setattr("semo_console.cli.actions.survey.show_status", fail)
    monkeypatch.setenv("SEMO_STATE_DIR", str(tmp_path / "unused"))
    assert main(["status", "--state-dir", str(tmp_path / "state")]) == ExitCode.FAILED
    log = tmp_path / "state" / "logs" / "semo.log"
    assert str(log) in capsys.readouterr().err
    assert "ZeroDivisionError" in log.read_text()
    assert "secret" not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_superseded_agent_ends_with_the_status_by_which_its_supervisor_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SEMO_STATE_DIR", str(tmp_path))

    def give_way(*_arguments: object, **_options: object) -> None:
        raise Superseded("Another agent process acts for this host now.")

    monkeypatch.setattr("semo_console.cli.actions.agent_service.run_agent", give_way)
    assert main(["agent"]) == SUPERSEDED_STATUS == agent.SUPERSEDED_STATUS
    assert capsys.readouterr().err == "semo: Another agent process acts for this host now.\n"
