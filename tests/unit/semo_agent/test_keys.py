import pytest

from semo_agent.keys import encode_key
from semo_agent.terminals.base import Key


@pytest.mark.parametrize("key", list(Key))
def test_every_key_has_bytes(key: Key) -> None:
    assert encode_key(key, application_cursor=False)


@pytest.mark.parametrize(("key", "letter"), [(Key.UP, b"A"), (Key.DOWN, b"B"), (Key.RIGHT, b"C"), (Key.LEFT, b"D")])
def test_arrows_follow_the_mode_of_cursor_keys(key: Key, letter: bytes) -> None:
    assert encode_key(key, application_cursor=False) == b"\x1b[" + letter
    assert encode_key(key, application_cursor=True) == b"\x1bO" + letter


def test_enter_is_carriage_return_in_both_modes() -> None:
    assert encode_key(Key.ENTER, application_cursor=True) == encode_key(Key.ENTER, application_cursor=False) == b"\r"
