"""Our tmux server, as `semo status` and `semo down` ask it."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from semo_agent.holder.place import find_listener, remove_left_socket, tmux_socket
from semo_agent.terminals.tmux.control import CLIENT_FORMAT, clients_of_agents, end_clients
from semo_console.births import birth_of
from semo_console.errors import ProcessFailed

_ANSWER_S = 10.0
_END_S = 2.0
_PAUSE_S = 0.02


def find_tmux(folder: Path) -> int | None:
    """Its pid; None: none runs. Raises ProcessFailed when it is silent."""
    said = _ask(folder, "display-message", "-p", "#{pid}")
    return int(said) if said.isdecimal() else None


def end_tmux(folder: Path) -> None:
    """End it with its clients, and hang up what lives in it; returns when they are gone. None running is no error.

    Raises ProcessFailed when it is silent.
    """
    clients = _ask(folder, "list-clients", "-F", CLIENT_FORMAT).splitlines()
    pids = [int(client.partition(" ")[0]) for client in clients]
    # One that is about to end answers nobody any more.
    if server := find_listener(tmux_socket(folder)):
        pids.append(server)
    births = {pid: birth for pid in pids if (birth := birth_of(pid)) is not None}
    # One of a killed agent may never leave by itself, and tmux would wait for it.
    end_clients(clients_of_agents(clients))
    _ask(folder, "kill-server")
    deadline = time.monotonic() + _END_S
    while left := [pid for pid, birth in births.items() if birth_of(pid) == birth]:
        if time.monotonic() > deadline:
            end_clients(left)
        time.sleep(_PAUSE_S)
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
