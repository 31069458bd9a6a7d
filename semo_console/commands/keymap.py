"""Which key is which command: built in, and changed by `keys.toml` in the configuration folder.

[keys]
"need.next" = ["w", "ctrl+n"]
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from semo_console.commands.jamo import key_under
from semo_console.commands.registry import BY_ID, COMMANDS, Command
from semo_console.errors import KeysRefused
from semo_console.state.console import Mode

_KEY = re.compile(r"(ctrl\+|shift\+)*([a-z]+[0-9]*|.)")


@dataclass(frozen=True)
class Keymap:
    """Commands by mode and key."""

    by_key: Mapping[tuple[Mode, str], Command]
    by_id: Mapping[str, tuple[str, ...]]

    def find(self, mode: Mode, key: str) -> Command | None:
        """The command of a key; in NAV a Hangul letter is the key that it stands on."""
        return self.by_key.get((mode, key_under(key) if mode is Mode.NAV else key))

    def keys_of(self, command: Command) -> tuple[str, ...]:
        return self.by_id[command.id]


def build_keymap(changed: Mapping[str, tuple[str, ...]] | None = None) -> Keymap:
    """Raises KeysRefused when one key would be two commands of one mode."""
    by_id = {command.id: (changed or {}).get(command.id, command.keys) for command in COMMANDS}
    by_key: dict[tuple[Mode, str], Command] = {}
    for command in COMMANDS:
        for key in by_id[command.id]:
            other = by_key.setdefault((command.mode, key), command)
            if other is not command:
                raise KeysRefused(f"{key} would be both {other.id} and {command.id}")
    return Keymap(by_key, by_id)


def read_keymap(path: Path) -> Keymap:
    """The built-in keys and the changes in the file, if there is one. Raises KeysRefused, which names the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return build_keymap()
    except (OSError, UnicodeDecodeError) as err:
        raise KeysRefused(f"{path} can't be read: {err}") from err
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise KeysRefused(f"{path}: {err}") from err
    changed = {name: _checked(path, text, name, keys) for name, keys in _entries(path, content).items()}
    try:
        return build_keymap(changed)
    except KeysRefused as err:
        lines = sorted(_line_of(text, name) for name in changed if name in str(err).split())
        raise KeysRefused(f"{path}, line {' and '.join(map(str, lines))}: {err}") from err


def _entries(path: Path, content: dict[str, object]) -> dict[str, object]:
    keys = content.get("keys", {})
    if set(content) - {"keys"} or not isinstance(keys, dict):
        raise KeysRefused(f'{path}, line 1: it has one table, [keys], with lines such as "need.next" = ["w"]')
    return dict(_flat("", keys))


def _flat(prefix: str, keys: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Without quotes, TOML takes `need.next` for a table in a table."""
    for name, value in keys.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value


def _checked(path: Path, text: str, name: str, keys: object) -> tuple[str, ...]:
    where = f"{path}, line {_line_of(text, name)}"
    if name not in BY_ID:
        near = difflib.get_close_matches(name, BY_ID, 1)
        raise KeysRefused(f"{where}: there is no command {name!r}" + (f"; {near[0]!r} is near" if near else ""))
    if not isinstance(keys, list) or not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys):
        raise KeysRefused(f'{where}: {name} wants a list of keys, such as ["w", "ctrl+n"]')
    return tuple(keys)


def _line_of(text: str, name: str) -> int:
    for number, row in enumerate(text.splitlines(), start=1):
        if row.lstrip().startswith((f'"{name}"', f"'{name}'", name)):
            return number
    return 1
