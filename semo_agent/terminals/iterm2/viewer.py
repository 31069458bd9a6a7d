"""What iTerm2 runs in a new tab: starts the program on a PTY of its own, hands that to the holder, and shows it.

`python -S -m semo_agent.terminals.iterm2.viewer SOCKET TAB`. What to run comes over the holder's socket: neither words
nor environment of a program are seen in the words or environment of iTerm2, or on disk. The program is this process's
child, so it has what iTerm2 has of the desktop session (keychain, permissions); when the window is closed, or iTerm2
dies, it is hung up. The process imports the standard library only, to start quickly.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from semo_agent.holder.protocol import VERSION, Header, RequestError
from semo_agent.holder.spawn import Spawned, read_failure, spawn
from semo_agent.holder.tab import exit_of
from semo_agent.terminals.iterm2.link import HolderLink

TAB_CLOSED: Final = "its tab was closed"
ITERM2_DIED: Final = "iTerm2 died"

_SESSION_VARIABLE: Final = "ITERM_SESSION_ID"
_IN, _OUT = 0, 1
_BUSY: Final = 64 * 1024
"""Bytes that wait for the window, or for the program, at which no more are taken for it."""
_ACKNOWLEDGE: Final = 32 * 1024
_PARENT_SECONDS: Final = 0.3
"""How long the system may take to give this process another parent when iTerm2 has died."""
_HANGUP_SECONDS: Final = 2.0
"""How long a program may take to end when the holder has died."""
_NOTICED: Final = (signal.SIGHUP, signal.SIGTERM, signal.SIGWINCH, signal.SIGCHLD)
_IGNORED: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN, signal.SIGPIPE)


def main(path: str, tab_id: str) -> NoReturn:
    # Before anything else: what a person types already is for the program.
    with _raw_terminal():
        status = _view(path, tab_id)
    os._exit(status)


def _view(path: str, tab_id: str) -> int:
    """Start the program and show it to its end; its exit status, as a shell tells it."""
    parent = os.getppid()
    wakeup = _listen_to_signals()
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
            holder = HolderLink(sock)
            holder.request("hello", version=VERSION)
            child = _start(holder, tab_id)
        except (OSError, RequestError) as err:
            _say(f"SEMO has no session for this tab ({err}); open a new one with `semo` and close this tab.")
            return 1
        except KeyError as err:
            _say(f"SEMO's holder of the terminals is another version: it sent no {err}.")
            return 1
        sock.setblocking(False)
        status = _Viewer(holder, tab_id, child.pid, parent, wakeup).run()
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _start(holder: HolderLink, tab_id: str) -> Spawned:
    """Start the program that the holder names and hand its PTY over. Raises `RequestError`, also when it can't."""
    wanted = holder.request("words", tab=tab_id)
    cols, rows = _size()
    try:
        child = spawn(wanted["argv"], wanted["cwd"], wanted["env"], cols, rows)
    except OSError as err:
        _fail(holder, tab_id, f"There is no terminal to be had: {err.strerror}.")
    select.select([child.report], [], [])
    failure = read_failure(child.report, wanted["argv"], wanted["cwd"])
    os.close(child.report)
    if failure is not None:
        _fail(holder, tab_id, failure)
    try:
        fields = {"pid": child.pid, "cols": cols, "rows": rows, "where": _where(os.environ)}
        holder.request("hand", hand=child.master, tab=tab_id, **fields)
    except (OSError, RequestError):
        # Nobody wants it any more.
        os.killpg(child.pid, signal.SIGKILL)
        raise
    os.close(child.master)
    return child


def _fail(holder: HolderLink, tab_id: str, failure: str) -> NoReturn:
    holder.request("hand", tab=tab_id, failure=failure)
    raise RequestError("launch", failure)


def _where(environment: Mapping[str, str]) -> Header:
    """The tab as iTerm2 names it; its id follows the place, w0t1p0:ID."""
    return {"session": environment.get(_SESSION_VARIABLE, "").rpartition(":")[2], "tty": os.ttyname(_IN)}


@dataclass
class _Viewer:
    """Moves bytes between window and holder until the program has ended and all of its output was shown."""

    holder: HolderLink
    tab_id: str
    pid: int
    parent: int
    wakeup: int
    output: bytearray = field(default_factory=bytearray)
    received: int = 0
    """Offset up to which output came; what is still in `output` was not shown."""
    acknowledged: int = 0
    typed: dict[int, int] = field(default_factory=dict)
    """Bytes that the program has not taken yet, by request."""
    status: int | None = None
    gone: bool = False
    """The window."""
    over: bool = False
    """All output came, and nothing more is to be told."""

    def run(self) -> int:
        """The wait status of the program."""
        try:
            # A change of size while it started was told to nobody, and output may have come with the last reply.
            self._tell_size()
            self._receive()
            while not (self.over and not self.output):
                self._step()
        except (EOFError, OSError):
            # The holder died, and with it the master of the PTY.
            self._end_program()
        return self.status or 0

    def _step(self) -> None:
        readers = [self.wakeup]
        if len(self.output) < _BUSY:
            readers.append(self.holder.sock.fileno())
        if not self.gone and sum(self.typed.values()) < _BUSY:
            readers.append(_IN)
        writers = [self.holder.sock.fileno()] if self.holder.waiting else []
        writers += [_OUT] if self.output and not self.gone else []
        readable, writable, _ = select.select(readers, writers, [])
        if self.wakeup in readable:
            self._take_signals()
        if _IN in readable:
            self._type()
        if _OUT in writable:
            self._show()
        if self.holder.sock.fileno() in writable:
            self.holder.flush()
        if self.holder.sock.fileno() in readable:
            self._receive()

    def _receive(self) -> None:
        for header, body in self.holder.receive():
            self.typed.pop(header.get("id", 0), None)
            match header.get("push"):
                case "output":
                    self.output += body
                    self.received = header["offset"] + len(body)
                case "exited":
                    self.over = True
        if self.gone:
            self.output.clear()
        self._acknowledge()

    def _show(self) -> None:
        try:
            del self.output[: os.write(_OUT, self.output)]
        except BlockingIOError:
            return
        except OSError:
            self._leave()
        self._acknowledge()

    def _acknowledge(self) -> None:
        shown = self.received - len(self.output)
        if shown - self.acknowledged >= _ACKNOWLEDGE or (shown > self.acknowledged and not self.output):
            self.acknowledged = shown
            self.holder.notify("ack", tab=self.tab_id, offset=shown)

    def _type(self) -> None:
        try:
            data = os.read(_IN, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.typed[self.holder.notify("write", data, tab=self.tab_id)] = len(data)
        else:
            self._leave()

    def _take_signals(self) -> None:
        numbers = set(os.read(self.wakeup, 4096))
        if signal.SIGWINCH in numbers:
            self._tell_size()
        if signal.SIGCHLD in numbers:
            self._reap()
        if numbers & {signal.SIGHUP, signal.SIGTERM}:
            self._leave()

    def _tell_size(self) -> None:
        if self.gone:
            return
        try:
            cols, rows = _size()
        except OSError:
            self._leave()
        else:
            self.holder.notify("resize", tab=self.tab_id, cols=cols, rows=rows)

    def _reap(self) -> None:
        pid, status = os.waitpid(self.pid, os.WNOHANG) if self.status is None else (0, 0)
        if pid:
            self.status = status
            self.holder.notify("explain", tab=self.tab_id, exit=exit_of(status))

    def _leave(self) -> None:
        """The window is gone; the holder ends the program, and then this process."""
        if self.gone:
            return
        self.gone = True
        self.output.clear()
        self.holder.notify("leave", tab=self.tab_id, reason=self._why())

    def _why(self) -> str:
        """Whether only the tab was closed. Its terminal is hung up a little before the system notes a death."""
        deadline = time.monotonic() + _PARENT_SECONDS
        while os.getppid() == self.parent:
            if time.monotonic() > deadline:
                return TAB_CLOSED
            time.sleep(0.01)
        return ITERM2_DIED

    def _end_program(self) -> None:
        """See the program end that lost its terminal; it was hung up."""
        deadline = time.monotonic() + _HANGUP_SECONDS
        while self.status is None:
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
            time.sleep(0.01)


def _listen_to_signals() -> int:
    """A descriptor that gives the numbers of signals that arrive."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    for number in _NOTICED:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _size() -> tuple[int, int]:
    """Columns and rows of the window; at least one of each, as a PTY has them."""
    rows, cols, _, _ = struct.unpack("HHHH", fcntl.ioctl(_IN, termios.TIOCGWINSZ, b"\0" * 8))
    return max(cols, 1), max(rows, 1)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Pass every key on as it is; what was typed before is kept. A terminal that is hung up has no settings."""
    before = None
    with contextlib.suppress(termios.error):
        before = termios.tcgetattr(_IN)
        tty.setraw(_IN, termios.TCSANOW)
    for descriptor in (_IN, _OUT):
        os.set_blocking(descriptor, False)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            if before is not None:
                termios.tcsetattr(_IN, termios.TCSANOW, before)


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):
        os.write(_OUT, f"{sentence}\r\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
