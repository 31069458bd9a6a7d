"""Reading profiles."""

import re
from pathlib import Path

import pytest

from semo_agent.errors import ProfileError, UnknownProfile
from semo_agent.profiles.hooks import Meaning
from semo_agent.profiles.profile import Profiles, read_profile
from semo_agent.terminals.base import Key
from tests.programs.agent_cli_profile import NAME, write_profile

MINE = 'name = "{name}"\n[launch]\nargv = ["cat"]\n[evidence]\nsource = "osc133"\n'


def test_the_shell_is_shipped(tmp_path: Path) -> None:
    profile = Profiles(tmp_path / "none").read("shell")
    assert (profile.launch.integration, profile.evidence.source) == ("shell", "osc133")


def test_a_users_file_goes_first(tmp_path: Path) -> None:
    (tmp_path / "shell.toml").write_text(MINE.format(name="shell"))
    assert Profiles(tmp_path).read("shell").launch.argv == ["cat"]


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE.format(name="mine"))
    with pytest.raises(UnknownProfile, match=r"no profile 'other'\. Known: mine, shell\."):
        Profiles(tmp_path).read("other")


@pytest.mark.parametrize("name", ["../shell", "shell/../shell", "", "Shell", ".shell", "a" * 41])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownProfile):
        Profiles(tmp_path).read(name)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("colour = 1\n", r"mine\.toml is wrong at colour: "),
        ("[typing]\nenter_gap_ms = -1\n", r"wrong at typing\.enter_gap_ms: "),
        ("[typing]\nretry_enter = 1\n", r"wrong at typing\.retry_enter: "),
        ("[limits]\nstart_timeout = 1\n", r"wrong at limits\.start_timeout: "),
        ("[limits\n", r"mine\.toml is not valid TOML: "),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, change: str, complaint: str) -> None:
    path = tmp_path / "mine.toml"
    head, tail = MINE.format(name="mine").split("\n", 1)
    path.write_text(f"{head}\n{change}{tail}" if change.startswith("colour") else MINE.format(name="mine") + change)
    with pytest.raises(ProfileError, match=complaint):
        read_profile(path)


@pytest.mark.parametrize("launch", ["", 'argv = ["cat"]\nintegration = "shell"\n'])
def test_a_launch_names_exactly_one_program(tmp_path: Path, launch: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\n[launch]\n{launch}[evidence]\nsource = "osc133"\n')
    with pytest.raises(ProfileError, match="either argv or integration"):
        read_profile(path)


def test_the_name_inside_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE.format(name="other"))
    with pytest.raises(ProfileError, match="wrong at name: it must be 'mine'"):
        read_profile(path)


def test_a_profile_with_hooks_is_read(tmp_path: Path) -> None:
    write_profile(tmp_path)
    profile = Profiles(tmp_path).read(NAME)
    assert profile.hooks is not None
    assert [event.means for event in profile.hooks.events if event.name == "Stop"] == [Meaning.ENDED]
    assert (profile.typing.interrupt_key, profile.job.done_by) == (Key.ESCAPE, "nonce")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('means = "ended"', 'means = "over"', r"wrong at hooks\.events\.4\.means: "),
        ('means = "ended"', 'means = "working"', r"wrong at hooks: .*no event means ended"),
        ('name = "Stop"', 'name = "Stop; rm"', r"wrong at hooks\.events\.4\.name: "),
        ('rate_limit = "rate_limit"', 'rate_limit = "slow"', r"wrong at hooks\.failures\.rate_limit: "),
        ("composer = '^>$'", "composer = '('", r"wrong at screen\.composer: .*no regular expression"),
        ("composer = '^>$'", "", r"wrong at screen: .*give composer or title"),
        ('interrupt_key = "escape"', 'interrupt_key = "F1"', r"wrong at typing\.interrupt_key: "),
        ('done_by = "nonce"', 'done_by = "exit_status"', r"must be 'nonce'"),
        ('source = "hooks"', 'source = "osc133"', r"sections hooks and screen are for evidence from hooks"),
    ],
)
def test_a_mistake_about_hooks_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    write_profile(tmp_path)
    path = tmp_path / f"{NAME}.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ProfileError, match=complaint):
        read_profile(path)


def test_evidence_from_hooks_needs_its_sections(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE.format(name="mine").replace("osc133", "hooks"))
    with pytest.raises(ProfileError, match="needs the sections hooks and screen"):
        read_profile(path)


def test_the_profile_that_the_readme_shows_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[4] / "README.md").read_text(encoding="utf-8")
    shown = re.search(r'^    name = "claude"\n(?:    .*\n)+', readme, re.MULTILINE)
    assert shown is not None
    path = tmp_path / "claude.toml"
    path.write_text(shown.group(), encoding="utf-8")
    assert read_profile(path).evidence.source == "hooks"
