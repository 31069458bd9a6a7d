"""A program of ours in the background: in a session of its own, without secrets, with a log."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semo_console.errors import ProcessFailed

# Settings of ours that hold a secret; the background processes read such things from files.
_SECRET_VARIABLES = ("SEMO_DATABASE_URL", "SEMO_SUPABASE_KEY")
_SENTENCE_MARK = "semo: "


@dataclass(frozen=True)
class Background:
    """A program that was started. `log_offset`: bytes of the log that were there before."""

    process: subprocess.Popen[bytes]
    log: Path
    log_offset: int

    def last_sentence(self) -> str | None:
        """The last error sentence that it wrote."""
        return last_sentence(self.log, self.log_offset)


def start_in_background(argv: Sequence[str], log: Path, *, inherit: Sequence[int] = ()) -> Background:
    """Start a program detached from our terminal; of our files it gets `inherit`. Raises ProcessFailed."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as err:
        raise ProcessFailed(f"{log} can't be written: {err.strerror}.") from err
    try:
        offset = os.fstat(descriptor).st_size
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,
            pass_fds=inherit,
        )
    except OSError as err:
        raise ProcessFailed(f"{argv[0]} can't be started: {err.strerror}.") from err
    finally:
        os.close(descriptor)
    return Background(process, log, offset)


def clean_environment() -> dict[str, str]:
    """Our environment without what is secret: programs in terminals inherit it."""
    return {name: value for name, value in os.environ.items() if name not in _SECRET_VARIABLES}


def last_sentence(log: Path, offset: int) -> str | None:
    """The last error sentence that a process of ours wrote to its log after `offset` (bytes)."""
    with log.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").splitlines()
    sentences = [line.removeprefix(_SENTENCE_MARK) for line in lines if line.startswith(_SENTENCE_MARK)]
    return sentences[-1] if sentences else None
