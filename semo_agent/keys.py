"""Bytes of keys, as a terminal sends them."""

from semo_agent.terminals.base import Key

_PLAIN = {
    Key.ENTER: b"\r",
    Key.ESCAPE: b"\x1b",
    Key.CTRL_C: b"\x03",
    Key.CTRL_D: b"\x04",
    Key.CTRL_U: b"\x15",
    Key.TAB: b"\t",
    Key.SHIFT_TAB: b"\x1b[Z",
    Key.BACKSPACE: b"\x7f",
}
_CURSOR = {Key.UP: b"A", Key.DOWN: b"B", Key.RIGHT: b"C", Key.LEFT: b"D"}


def encode_key(key: Key, *, application_cursor: bool) -> bytes:
    """The bytes of one key press; arrows depend on DECCKM, the mode of cursor keys."""
    if key in _CURSOR:
        return (b"\x1bO" if application_cursor else b"\x1b[") + _CURSOR[key]
    return _PLAIN[key]
