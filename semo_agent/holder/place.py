"""Where the holder of a folder, and the tmux server of a folder, listen."""

import contextlib
import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from pathlib import Path

LONGEST_SOCKET_PATH = 100
"""Bytes; macOS allows 104 and Linux 108, with the end mark."""
_LOCAL_PEERPID = 2  # sys/un.h of macOS; Python has no name for it


def socket_path(folder: Path) -> Path:
    """The holder's socket of a folder."""
    return socket_in(folder, "holder.sock")


def tmux_socket(folder: Path) -> Path:
    """The socket of our tmux server of a folder."""
    return socket_in(folder / "tmux", "server.sock")


def socket_in(folder: Path, name: str) -> Path:
    """A socket in the folder, or in a private runtime folder when the folder's path is too long."""
    path = folder / name
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"semo-{os.getuid()}-{digest}" / name


def remove_left_socket(path: Path, folder: Path) -> bool:
    """Remove a socket that nobody listens on, and its runtime folder; false when somebody does. Blocking."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return True
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            return False
    if path.parent != folder:
        # Another's socket may be in it.
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    return True


def find_listener(path: Path) -> int | None:
    """The pid of who listens on a socket, also when it answers nobody. Blocking."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
            if sys.platform == "darwin":
                return int(probe.getsockopt(0, _LOCAL_PEERPID))
            return int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
        except OSError:
            return None


def make_private(folder: Path) -> None:
    """Make the folder, or make sure that it is ours alone. Raises `PermissionError` when it is not."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"The folder {folder} belongs to somebody else; choose another one.")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
