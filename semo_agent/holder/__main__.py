"""`python -m semo_agent.holder --folder DIR`: start the holder in the background and say when it listens."""

import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

from semo_agent.holder.place import make_private, socket_path
from semo_agent.holder.server import IDLE_SECONDS, Holder

LISTENING, RUNNING_ALREADY = "listening\n", "running\n"
"""The one line that the starter gets to read."""

_LONGEST_LOG = 1024 * 1024


def main(arguments: list[str]) -> int:
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    folder = Path(options["--folder"])
    make_private(folder)
    lock = os.open(folder / "holder.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Of two that start at once only one gets the lock, and it holds it as long as it lives.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stdout.write(RUNNING_ALREADY)
        return 0
    path = socket_path(folder)
    listener = _listen(path)
    if os.fork():
        # The starter waits for this process only; the holder itself belongs to nobody.
        os._exit(0)
    _detach(folder)
    try:
        Holder(listener, idle_seconds=float(options.get("--idle", IDLE_SECONDS))).run()
    finally:
        path.unlink(missing_ok=True)
        if path.parent != folder:
            path.parent.rmdir()
    return 0


def _listen(path: Path) -> socket.socket:
    make_private(path.parent)
    # Whoever left it is dead: we hold the lock.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(before)
    listener.listen(16)
    listener.setblocking(False)
    return listener


def _detach(folder: Path) -> None:
    """Leave the starter's session, folder and files; from here on errors go to the log."""
    os.setsid()
    os.chdir("/")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdout.write(LISTENING)
    sys.stdout.flush()
    log = os.open(folder / "holder.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(log).st_size > _LONGEST_LOG:
        os.ftruncate(log, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
