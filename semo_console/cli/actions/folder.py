"""Where a verb was called."""

from pathlib import Path

from semo_console.errors import UnclearTarget


def current_folder() -> Path:
    """The current folder. Raises UnclearTarget when it is gone."""
    try:
        return Path.cwd().resolve()
    except FileNotFoundError as err:
        raise UnclearTarget("The current folder does not exist any more; go to another one.") from err
