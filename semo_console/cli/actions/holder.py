"""The holder of the terminals, as `semo status` and `semo down` ask it."""

import socket
from pathlib import Path

from semo_agent.holder.place import socket_path
from semo_agent.holder.protocol import VERSION, FrameReader, Header, pack
from semo_console.errors import ProcessFailed

_ANSWER_S = 5.0
_RECEIVE = 64 * 1024


def ask_holder(folder: Path, *requests: Header) -> Header | None:
    """Its answer to the last of hello and these requests; None: none runs. Raises ProcessFailed when it is silent."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_S)
            connection.connect(str(socket_path(folder)))
            answer = _exchange(connection, {"verb": "hello", "version": VERSION})
            for request in requests:
                answer = _exchange(connection, request)
            return answer
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as err:
        raise ProcessFailed("The holder of the terminals does not answer.") from err


def _exchange(connection: socket.socket, request: Header) -> Header:
    connection.sendall(pack({"id": 0, **request}))
    frames = FrameReader()
    while data := connection.recv(_RECEIVE):
        for header, _ in frames.feed(data):
            return header
    raise ConnectionResetError
