"""The launcher, as the process that it is."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

from semo_hub import unprivileged


def launch(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-S", str(unprivileged.__file__), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_root_becomes_nobody_and_others_stay_who_they_are() -> None:
    expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    result = launch("--parent", str(os.getpid()), "--as-nobody", "--", "/usr/bin/env", "id", "-u")
    assert result.stdout.strip() == str(expected)


def test_a_program_never_runs_as_root() -> None:
    """Either it runs under another name, or the system refuses the namespace and nothing runs at all."""
    result = launch("--parent", str(os.getpid()), "--", "/usr/bin/env", "id", "-u")
    assert result.stdout.strip() != "0"
    assert result.returncode in (0, unprivileged.NAMESPACE_REFUSED)


def test_a_program_whose_parent_is_gone_is_not_started() -> None:
    result = launch("--parent", "1" if os.getpid() != 1 else "2", "--as-nobody", "--", "/usr/bin/env", "echo", "ran")
    assert result.stdout == ("" if sys.platform.startswith("linux") else "ran\n")


def test_what_cannot_be_executed_is_named() -> None:
    result = launch("--parent", str(os.getpid()), "--as-nobody", "--", "/does/not/exist")
    assert result.returncode == unprivileged.CANNOT_EXECUTE
    assert "/does/not/exist" in result.stderr


def test_the_check_names_a_path_that_is_out_of_reach(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert launch("--as-nobody", "--check", "--", "/usr", "/bin/sh").returncode == 0
    result = launch("--as-nobody", "--check", "--", "/usr", missing)
    assert (result.returncode, result.stdout) == (unprivileged.CANNOT_EXECUTE, missing)
