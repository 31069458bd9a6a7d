"""A program on a PTY of its own, served by the event loop."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from semo_agent.holder.spawn import read_failure, set_size, spawn
from semo_agent.terminals.base import Size

_READ = 64 * 1024
_LIBC = ctypes.CDLL(None)
_LIBC.ptsname.restype = ctypes.c_char_p


class Program:
    """Runs from the start on. `on_output` gets its bytes; `on_end` a sentence if it could not be started, else None."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        size: Size,
        *,
        on_output: Callable[[bytes], None],
        on_end: Callable[[str | None], None],
    ) -> None:
        """Raises `OSError` when there is no PTY to be had."""
        self.argv, self._cwd = list(argv), cwd
        self._on_output, self._on_end = on_output, on_end
        self._loop = asyncio.get_running_loop()
        spawned = spawn(argv, cwd, env, size.cols, size.rows)
        self.pid, self._master, self._report = spawned.pid, spawned.master, spawned.report
        self.tty = _LIBC.ptsname(self._master).decode()
        self._waiting = bytearray()
        self.ended = False
        self._loop.add_reader(self._master, self._read)

    def write(self, data: bytes) -> None:
        """Type; what the program does not take yet waits."""
        if self.ended or not data:
            return
        if not self._waiting:
            self._loop.add_writer(self._master, self._flush)
        self._waiting += data

    def resize(self, size: Size) -> None:
        if not self.ended:
            set_size(self._master, size.cols, size.rows)

    def foreground(self) -> int:
        """The process that leads the group in the foreground."""
        with contextlib.suppress(OSError):
            # Nobody is there until the child leads its session.
            return (not self.ended and os.tcgetpgrp(self._master)) or self.pid
        return self.pid

    def hang_up(self) -> None:
        """What closing the tab does: SIGHUP, and the terminal is gone. Nothing is told of it."""
        if not self.ended:
            self.signal(signal.SIGHUP)
            self._close()

    def lives(self) -> bool:
        """Whether it has not ended."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                # It was just started, and leads no group yet.
                os.kill(self.pid, number)

    def _read(self) -> None:
        try:
            data = os.read(self._master, _READ)
        except BlockingIOError:
            return
        except OSError:
            # EIO on Linux: nobody holds the other end.
            data = b""
        if data:
            self._on_output(data)
        else:
            failure = self._failure()
            self._close()
            self._on_end(failure)

    def _failure(self) -> str | None:
        with contextlib.suppress(BlockingIOError):
            return read_failure(self._report, self.argv, self._cwd)
        return None

    def _flush(self) -> None:
        try:
            written = os.write(self._master, self._waiting)
        except BlockingIOError:
            return
        except OSError:
            written = len(self._waiting)
        del self._waiting[:written]
        if not self._waiting:
            self._loop.remove_writer(self._master)

    def _close(self) -> None:
        self.ended = True
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self._report)


def reap() -> None:
    """Forget every program that ended; for SIGCHLD."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def command_line(pid: int) -> str:
    """The words of a process, empty where the system does not tell."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return ""


def process_name(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return None


def working_folder(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/cwd").readlink())
    return None
