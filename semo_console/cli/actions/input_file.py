"""What an operator gives in a file."""

import sys
from pathlib import Path

from semo_console.cli.actions.sending import FROM_STDIN
from semo_console.errors import UnreadableInput


def read_file(path: Path, limit: int) -> bytes:
    """At most one byte more than `limit`, by which a caller sees that it is too long. Raises UnreadableInput."""
    try:
        with path.expanduser().open("rb") as file:
            return file.read(limit + 1)
    except OSError as err:
        raise UnreadableInput(f"{path} can't be read: {(err.strerror or str(err)).lower()}.") from err


def read_text_of(named: str, limit: int) -> str:
    """The text of a file, or for `-` of standard input. Raises UnreadableInput."""
    source = "Standard input" if named == FROM_STDIN else named
    content = sys.stdin.buffer.read(limit + 1) if named == FROM_STDIN else read_file(Path(named), limit)
    if len(content) > limit:
        raise UnreadableInput(f"{source} has more than {limit} bytes; give it in several parts.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise UnreadableInput(f"{source} is not UTF-8 text (byte {err.start}). Convert it first.") from err
