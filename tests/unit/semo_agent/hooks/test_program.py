"""The program that a CLI runs at each event."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from semo_agent.hooks import program
from semo_agent.hooks.program import EVENT_BYTES_MAX, LONGEST_S, TEXT_MAX, process_by_ps, program_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "session"
    made.mkdir()
    return made


def run(folder: Path | str, text: str | bytes, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-I", "-S", str(program.__file__), *(words or ("ended", "Stop"))]
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run(
        argv, input=data, capture_output=True, env={"SEMO_HOOKS": str(folder)}, check=False, **options
    )


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_an_event_is_one_private_file_with_its_input_and_who_ran_it(folder: Path) -> None:
    ended = run(folder, json.dumps({"last_assistant_message": "한글"}))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    (event,) = events(folder)
    assert (event["means"], event["name"], event["input"]) == ("ended", "Stop", {"last_assistant_message": "한글"})
    assert event["ancestors"][0][0] == os.getpid()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_events_are_named_in_their_order(folder: Path) -> None:
    for n in range(3):
        run(folder, json.dumps({"n": n}))
    assert [event["input"]["n"] for event in events(folder)] == [0, 1, 2]
    assert not list(folder.glob("*.new"))


@pytest.mark.parametrize("text", ["", "no json", "[1]", b"\xff\xfe", "{"])
def test_input_that_is_no_object_is_an_event_all_the_same(folder: Path, text: str | bytes) -> None:
    assert run(folder, text).returncode == 0
    assert [event["input"] for event in events(folder)] == [{}]


def test_of_long_texts_the_end_is_kept_and_an_event_stays_bounded(folder: Path) -> None:
    long = "가" * TEXT_MAX * 2 + "end"
    run(folder, json.dumps({"last_assistant_message": long, "tool_input": {"lines": ["x" * 10_000] * 100}}))
    (path,) = folder.glob("*.json")
    (event,) = events(folder)
    assert event["input"]["last_assistant_message"].endswith("end")
    assert len(event["input"]["last_assistant_message"]) == TEXT_MAX
    assert path.stat().st_size <= EVENT_BYTES_MAX


@pytest.mark.parametrize("folder_name", ["", "/nonexistent"])
def test_without_a_spool_it_ends_well_and_says_nothing(folder_name: str) -> None:
    ended = run(folder_name, "{}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_wrong_words_end_well() -> None:
    assert run("/nonexistent", "{}", "one").returncode == 0


def test_an_input_that_does_not_end_is_waited_for_a_moment_only(folder: Path) -> None:
    argv = [sys.executable, "-I", "-S", str(program.__file__), "ended", "Stop"]
    began = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env={"SEMO_HOOKS": str(folder)}) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"half')
        process.stdin.flush()
        assert process.wait(10) == 0
    # Its own start is not counted.
    assert time.monotonic() - began < LONGEST_S + 3
    assert [event["input"] for event in events(folder)] == [{}]


def test_a_spool_that_another_holds_is_given_up_in_time(folder: Path) -> None:
    import fcntl

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(folder, "{}", timeout=10).returncode == 0
    assert events(folder) == []


def test_the_bell_is_rung(folder: Path) -> None:
    bell = folder.parent / "bell"
    os.mkfifo(bell)
    handle = os.open(bell, os.O_RDWR | os.O_NONBLOCK)
    run(folder, "{}")
    assert os.read(handle, 10) == b"."
    os.close(handle)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/local/bin/claude", "-p", "a secret"], "claude"),
        (["node", "--enable", "/usr/bin/claude", "x"], "claude"),
        (["python3.11", "-I", "/x/cli.py"], "cli.py"),
        (["sh", "-c", "claude -p 'a secret'"], "sh"),
        (["-bash"], "bash"),
        (["node"], "node"),
        ([""], ""),
        ([], ""),
    ],
)
def test_a_process_is_known_by_its_program_or_script_and_no_other_word_of_it_is_kept(
    words: list[str], name: str
) -> None:
    assert program_name(words) == name


def test_a_process_that_is_gone_has_no_parent() -> None:
    assert process_by_ps(2**22 + 1) == (0, [])
