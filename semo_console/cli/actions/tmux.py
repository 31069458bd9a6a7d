"""Our tmux server, as `semo status` and `semo down` ask it."""

import os
import shutil
import subprocess
from pathlib import Path

from semo_agent.holder.place import remove_left_socket, tmux_socket
from semo_console.errors import ProcessFailed

_ANSWER_S = 10.0


def find_tmux(folder: Path) -> int | None:
    """Its pid; None: none runs. Raises ProcessFailed when it is silent."""
    said = _ask(folder, "display-message", "-p", "#{pid}")
    return int(said) if said.isdecimal() else None


def end_tmux(folder: Path) -> None:
    """End it, and hang up what lives in it. None running is no error. Raises ProcessFailed when it is silent."""
    _ask(folder, "kill-server")
    remove_left_socket(tmux_socket(folder), folder / "tmux")


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
