"""Starts a program on a new PTY."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

_DEFAULT_ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
_IUTF8 = 0x4000  # the same on Linux and macOS; the termios module does not name it
_REPORT = struct.Struct("B i")


@dataclass(frozen=True, slots=True)
class Spawned:
    """A child on its way to its program.

    `report` is readable when the program runs (end of file) or could not be started (`read_failure`).
    """

    pid: int
    master: int
    report: int


def spawn(argv: Sequence[str], cwd: str, env: Mapping[str, str], cols: int, rows: int) -> Spawned:
    """Fork a child that leads a new session on a new PTY and executes `argv`.

    Raises `OSError` when there is no PTY to be had. Only a process with a single thread may call it, because
    Python code runs between fork and exec.
    """
    master, slave = pty.openpty()
    report, report_writer = os.pipe()
    try:
        set_size(master, cols, rows)
        expect_utf8(slave)
        pid = os.fork()
    except OSError:
        for fd in (master, slave, report, report_writer):
            os.close(fd)
        raise
    if pid == 0:
        _become(argv, cwd, {**_DEFAULT_ENVIRONMENT, **env}, slave, report_writer)
    os.close(slave)
    os.close(report_writer)
    os.set_blocking(master, False)
    os.set_blocking(report, False)
    return Spawned(pid, master, report)


def read_failure(report: int, argv: Sequence[str], cwd: str) -> str | None:
    """Why the program could not be started, as a sentence; None when it runs."""
    return failure_in(os.read(report, _REPORT.size), argv, cwd)


def failure_in(data: bytes, argv: Sequence[str], cwd: str) -> str | None:
    """The failure that a child reported, as a sentence; None when it reported none."""
    if len(data) < _REPORT.size:
        return None
    in_folder, number = _REPORT.unpack(data)
    if in_folder:
        return f"The folder {cwd!r} can't be entered: {os.strerror(number)}."
    return f"The program {argv[0]!r} can't be started: {os.strerror(number)}."


def set_size(fd: int, cols: int, rows: int) -> None:
    """Set the size of a terminal in cells; its foreground programs get SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def expect_utf8(fd: int) -> None:
    """Make erasing in canonical mode remove whole characters."""
    attributes = termios.tcgetattr(fd)
    attributes[0] |= _IUTF8
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _become(argv: Sequence[str], cwd: str, env: Mapping[str, str], slave: int, report: int) -> NoReturn:
    """Turn this forked child into the program, or report why not and end."""
    try:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        replace_process(argv, cwd, env, report)
    except OSError as err:
        os.write(report, _REPORT.pack(False, err.errno or 0))
    finally:
        os._exit(127)


def replace_process(argv: Sequence[str], cwd: str, env: Mapping[str, str], report: int) -> NoReturn:
    """Become the program on the standard descriptors that we have, or write to `report` why not and end."""
    in_folder = True
    try:
        _restore_signals()
        os.chdir(cwd)
        in_folder = False
        report = _close_all_but(report)
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - what the request names; no shell is meant
    except OSError as err:
        os.write(report, _REPORT.pack(in_folder, err.errno or 0))
    except ValueError:
        # A NUL in an argument or in the environment.
        os.write(report, _REPORT.pack(False, 22))
    finally:
        os._exit(127)


def _restore_signals() -> None:
    """Default dispositions and an empty mask: an ignored signal would stay ignored through exec."""
    for number in range(1, signal.NSIG):
        # Some numbers belong to the C library, and SIGKILL and SIGSTOP can't be set.
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_all_but(report: int) -> int:
    """Close every descriptor above 2 but `report`; returns its new number. It is closed by exec."""
    if report != 3:
        os.dup2(report, 3, inheritable=False)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    return 3
