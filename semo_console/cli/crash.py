"""An error that nobody expected: kept in the log, with a sentence for the operator."""

import os
import traceback
from datetime import UTC, datetime

from semo_office.errors import ConfigurationError
from semo_office.locations import StateFolder


def record_crash(error: Exception) -> str:
    """Append the traceback to logs/semo.log; the sentence that says so."""
    what = f"Something went wrong that should not ({type(error).__name__})."
    try:
        log = StateFolder.find().prepare().log_of("semo")
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat()}\n{_where(error)}\n")
    except (ConfigurationError, OSError):
        return f"{what} The log can't be written either: {_where(error).strip().splitlines()[-1]}"
    return f"{what} {log} has the details."


def _where(error: Exception) -> str:
    """The lines of code it passed, without messages or values: those may hold a prompt."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    return "".join([*lines, f"{type(error).__module__}.{type(error).__qualname__}\n"])
