from pathlib import Path

import pytest

from semo_console.commands.guide import palette
from semo_console.commands.keymap import build_keymap, read_keymap
from semo_console.commands.registry import COMMANDS
from semo_console.errors import KeysRefused
from semo_console.state.console import Mode

FORBIDDEN = {
    *("ctrl+b", "ctrl+a", "ctrl+space", "ctrl+h", "ctrl+k", "ctrl+l", "ctrl+backslash", "ctrl+i", "ctrl+m"),
    *("ctrl+s", "ctrl+q", "ctrl+z", "ctrl+left_square_bracket"),
    *(f"f{n}" for n in range(1, 13)),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "keys.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_keys_are_free_of_conflicts_and_of_keys_that_terminals_take() -> None:
    keymap = build_keymap()
    assert {key for _, key in keymap.by_key} & FORBIDDEN == set()
    assert not any(key.startswith("alt+") for _, key in keymap.by_key)


def test_every_command_has_a_label_and_help_and_a_key_or_a_place_in_the_palette() -> None:
    assert len({command.id for command in COMMANDS}) == len(COMMANDS)
    assert all(command.label and command.help for command in COMMANDS)
    # Without a key it is one of the palette.
    assert all(command.keys or command.action for command in COMMANDS)


@pytest.mark.parametrize(
    ("jamo", "key"), [("ㅓ", "j"), ("ㅏ", "k"), ("ㅁ", "a"), ("ㅈ", "w"), ("ㅑ", "i"), ("ㅛ", "y"), ("ㅜ", "n")]
)
def test_a_hangul_letter_is_the_lowercase_key_it_stands_on(jamo: str, key: str) -> None:
    keymap = build_keymap()
    assert keymap.find(Mode.NAV, jamo) is keymap.find(Mode.NAV, key)
    assert keymap.find(Mode.WRITE, jamo) is None


@pytest.mark.parametrize("jamo", "ㅃㅉㄸㄲㅆㅒㅖㅌ")
def test_no_hangul_letter_ends_a_session(jamo: str) -> None:
    command = build_keymap().find(Mode.NAV, jamo)
    assert command is None or command.id != "end.session"


def test_without_a_file_the_keys_are_the_built_in_ones(tmp_path: Path) -> None:
    assert read_keymap(tmp_path / "keys.toml").by_id == build_keymap().by_id


@pytest.mark.parametrize("text", ['[keys]\n"need.next" = ["N", "ctrl+n"]\n', '[keys]\nneed.next = ["N", "ctrl+n"]\n'])
def test_a_file_moves_a_command_to_other_keys(tmp_path: Path, text: str) -> None:
    keymap = read_keymap(write(tmp_path, text))
    moved = keymap.find(Mode.NAV, "N")
    assert moved is not None
    assert (moved.id, keymap.find(Mode.NAV, "w")) == ("need.next", None)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[keys]\n\n"need.nxt" = ["w"]\n', ("line 3", "no command 'need.nxt'", "'need.next' is near")),
        ('[keys]\n"need.next" = "w"\n', ("line 2", "a list of keys")),
        ('[keys]\n"need.next" = ["ctrl+"]\n', ("line 2", "a list of keys")),
        ('[keys]\n"need.next" = ["j"]\n', ("line 2", "j would be both need.next and move.down")),
        ('[keys]\n"zoom" = ["9"]\n"why" = ["9"]\n', ("line 2 and 3", "9 would be both")),
        ("[keys]\nnonsense\n", ("line 2",)),
        ("[colours]\n", ("line 1", "one table, [keys]")),
    ],
)
def test_a_mistake_in_the_file_names_its_line(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(KeysRefused) as refused:
        read_keymap(write(tmp_path, text))
    assert all(part in str(refused.value) for part in parts), refused.value


def test_the_palette_finds_commands_by_all_words() -> None:
    assert [command.id for command in palette("take back")] == ["undo"]
    assert palette("no such thing") == []
    assert all(command.action is not None for command in palette(""))
