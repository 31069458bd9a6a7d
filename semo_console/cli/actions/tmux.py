"""Our tmux server, as `semo status` and `semo down` ask it."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from semo_agent.holder.place import remove_left_socket, tmux_socket
from semo_console.births import birth_of
from semo_console.errors import ProcessFailed

_ANSWER_S = 10.0
_END_S = 5.0
_PAUSE_S = 0.02


def find_tmux(folder: Path) -> int | None:
    """Its pid; None: none runs. Raises ProcessFailed when it is silent."""
    said = _ask(folder, "display-message", "-p", "#{pid}")
    return int(said) if said.isdecimal() else None


def end_tmux(folder: Path) -> None:
    """End it with its clients, and hang up what lives in it; returns when they are gone. None running is no error.

    Raises ProcessFailed when it is silent.
    """
    said = _ask(folder, "display-message", "-p", "#{pid}", ";", "list-clients", "-F", "#{client_pid}")
    pids = [int(word) for word in said.split() if word.isdecimal()]
    births = {pid: birth for pid in pids if (birth := birth_of(pid)) is not None}
    _ask(folder, "kill-server")
    deadline = time.monotonic() + _END_S
    while left := [pid for pid, birth in births.items() if birth_of(pid) == birth]:
        if time.monotonic() > deadline:
            _kill(left)
            break
        time.sleep(_PAUSE_S)
    remove_left_socket(tmux_socket(folder), folder / "tmux")


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _ask(folder: Path, *words: str) -> str:
    """What it answers; nothing where none runs."""
    program, path = shutil.which("tmux"), tmux_socket(folder)
    if program is None or not path.exists():
        return ""
    command = [program, "-S", str(path), *words]
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        asked = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except subprocess.TimeoutExpired as err:
        raise ProcessFailed("tmux does not answer.") from err
    return asked.stdout.strip()
