"""What a session starts, and with which environment."""

from pathlib import Path

import pytest

from semo_agent.hooks.spool import Spool
from semo_agent.profiles.launch import prepare_launch, program_environment
from semo_agent.profiles.profile import EvidenceRules, Launch, Profile

NO_SPOOL = Spool(Path("/nonexistent"))
SHELL = Profile(name="shell", launch=Launch(integration="shell"), evidence=EvidenceRules(source="osc133"))


def program(tmp_path: Path, name: str) -> str:
    path = tmp_path / name
    path.touch()
    return str(path)


def test_nothing_that_speaks_to_semo_or_of_another_terminal_is_passed_on() -> None:
    own = {"HOME": "/h", "LANG": "C.UTF-8", "SEMO_SUPABASE_KEY": "k", "TMUX": "t", "TERM_PROGRAM": "p", "COLUMNS": "1"}
    assert program_environment(own, "id") == {
        "HOME": "/h", "LANG": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor",
        "SEMO": "1", "SEMO_SESSION_ID": "id",
    }  # fmt: skip


@pytest.mark.parametrize("own", [{}, {"LANG": "C"}, {"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}])
def test_a_locale_that_is_not_utf8_is_corrected(own: dict[str, str]) -> None:
    env = program_environment(own, "id")
    assert env["LC_CTYPE"].endswith("UTF-8")
    assert "LC_ALL" not in env


@pytest.mark.parametrize("own", [{"LANG": "ko_KR.UTF-8"}, {"LC_ALL": "C.utf8"}])
def test_a_utf8_locale_is_left_alone(own: dict[str, str]) -> None:
    assert "LC_CTYPE" not in program_environment(own, "id")


def test_bash_starts_with_our_file(tmp_path: Path) -> None:
    bash = program(tmp_path, "bash")
    launched = prepare_launch(SHELL, "id", {"SHELL": bash}, NO_SPOOL)
    assert (launched.argv[0], launched.argv[1], launched.argv[3]) == (bash, "--rcfile", "-i")
    assert Path(launched.argv[2]).is_file()
    assert launched.env["SEMO_MARK_ID"] == launched.mark_id


def test_zsh_is_led_to_our_folder_and_told_the_users(tmp_path: Path) -> None:
    zsh = program(tmp_path, "zsh")
    launched = prepare_launch(SHELL, "id", {"SHELL": zsh, "ZDOTDIR": "/mine"}, NO_SPOOL)
    assert launched.argv == (zsh, "-i")
    assert Path(launched.env["ZDOTDIR"], ".zshenv").is_file()
    assert launched.env["SEMO_USER_ZDOTDIR"] == "/mine"


@pytest.mark.parametrize("shell", ["/bin/fish", "/no/such/zsh", ""])
def test_any_other_shell_is_bash(shell: str) -> None:
    assert prepare_launch(SHELL, "id", {"SHELL": shell}, NO_SPOOL).argv[0] == "/bin/bash"


def test_each_launch_has_marks_of_its_own() -> None:
    first, second = prepare_launch(SHELL, "id", {}, NO_SPOOL), prepare_launch(SHELL, "id", {}, NO_SPOOL)
    assert first.mark_id != second.mark_id


def test_a_program_of_its_own_is_started_as_it_is() -> None:
    launch = Launch(argv=["cat", "-u"], env={"EXTRA": "1"})
    profile = Profile(name="cat", launch=launch, evidence=EvidenceRules(source="osc133"))
    launched = prepare_launch(profile, "id", {}, NO_SPOOL)
    assert (launched.argv, launched.env["EXTRA"], launched.mark_id) == (("cat", "-u"), "1", None)
