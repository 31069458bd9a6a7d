"""The holder of the terminals, as `semo status` and `semo down` ask it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semo_agent.holder.place import socket_path
from semo_agent.holder.protocol import VERSION, FrameReader, Header, pack
from semo_console.cli.actions.tmux import end_tmux
from semo_console.errors import ProcessFailed

GRACE_S = 1.0
"""For programs to end by themselves."""

_ANSWER_S = 10.0
_RECEIVE = 64 * 1024


def find_holder(folder: Path) -> Header | None:
    """What it says of itself, `pid` above all; None: none runs. Raises ProcessFailed when it is silent."""
    with _connected(folder) as connection:
        return _exchange(connection, {"verb": "hello", "version": VERSION}) if connection else None


def end_holder(folder: Path) -> list[str]:
    """End it, our tmux, and what still lives in them; the ids of those sessions. Raises ProcessFailed."""
    with _connected(folder) as connection:
        if connection is None:
            end_tmux(folder)
            return []
        _exchange(connection, {"verb": "hello", "version": VERSION})
        tabs = _exchange(connection, {"verb": "list"}).get("tabs", ())
        connection.sendall(pack({"id": 0, "verb": "shutdown", "grace": GRACE_S}))
        # It waits for the output of what runs in tmux, which ends with tmux.
        end_tmux(folder)
        # It closes the connection as the last thing it does.
        while connection.recv(_RECEIVE):
            pass
        return [str(tab["tag"]) for tab in tabs if tab["exit"] is None]


@contextmanager
def _connected(folder: Path) -> Iterator[socket.socket | None]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            connection.connect(str(socket_path(folder)))
        except (FileNotFoundError, ConnectionRefusedError):
            yield None
            return
        try:
            yield connection
        except OSError as err:
            raise ProcessFailed("The holder of the terminals does not answer.") from err


def _exchange(connection: socket.socket, request: Header) -> Header:
    """The answer; nothing where it ended instead."""
    connection.sendall(pack({"id": 0, **request}))
    frames = FrameReader()
    while data := connection.recv(_RECEIVE):
        for header, _ in frames.feed(data):
            return header
    return {}
