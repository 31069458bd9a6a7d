"""Files and folders that only their owner can read."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from semo_hub.errors import BrokenFile, StateFolderError


def make_private_folder(folder: Path) -> Path:
    """Make `folder` with mode 0700, and what is missing above it; one that exists keeps its mode.

    Raises StateFolderError when it can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise StateFolderError(_unwritable(folder, err)) from err
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StateFolderError(_unwritable(folder, PermissionError(13, "Permission denied")))
    return folder


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` by `content`, mode 0600; a reader sees the old file or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as err:
        draft.unlink(missing_ok=True)
        raise StateFolderError(_unwritable(path, err)) from err


def read_json(path: Path, *, remedy: str) -> dict[str, Any] | None:
    """The JSON object in `path`, or None when there is no such file.

    Raises BrokenFile, with `remedy` as what to do, when it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as err:
        raise StateFolderError(f"{path} cannot be read ({err.strerror}): fix its permissions.") from err
    except ValueError as err:
        raise BrokenFile(f"{path} is not valid JSON: {remedy}.") from err
    if not isinstance(content, dict):
        raise BrokenFile(f"{path} does not hold a JSON object: {remedy}.")
    return content


def _unwritable(path: Path, err: OSError) -> str:
    return (
        f"{path} cannot be written ({err.strerror}): "
        "choose another state folder with --state-dir, or fix its permissions."
    )
