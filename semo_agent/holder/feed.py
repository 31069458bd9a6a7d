"""The output of a program that runs elsewhere, in a pane of tmux, kept as that of a tab."""

import contextlib
import os
import stat
import subprocess
import termios
from pathlib import Path

from semo_agent.holder.protocol import RequestError
from semo_agent.holder.tab import WINDOW, HeldTab, PendingWrite

GREETING = b"\n"
"""What the writer of the pipe sends first: end of file means nothing before there was a writer."""

_RESUME = WINDOW // 2
_PROC = Path("/proc")
_FOREGROUND = 5  # the field of /proc/PID/stat after the program's name
_PS_SECONDS = 5.0


class HeldFeed(HeldTab):
    """A named pipe that is always read: what is not, its writer would keep in memory without limit.

    Where the client is behind, the program's own terminal is stopped, as by Ctrl-S. `exit` is told by whoever
    runs the program; None at the end of the pipe: nobody knows.
    """

    kind = "feed"
    explained_elsewhere = True

    def __init__(self, tab_id: str, tag: str, path: Path, size: tuple[int, int]) -> None:
        super().__init__(tab_id, tag, 0, -1, size)
        self.groups.clear()
        self._path = path
        self._greeted = False
        self._tty: str | None = None
        self._stopped: int | None = None
        """The terminal, open while it is stopped: its name can't become another's meanwhile."""

    def open(self) -> None:
        """Begin to read. Raises `OSError`, or `RequestError` when it is no pipe of ours."""
        found = self._path.lstat()
        if not stat.S_ISFIFO(found.st_mode) or found.st_uid != os.getuid():
            raise RequestError("bad_request", "A feed must be a named pipe of the same user.")
        self.master = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)

    def bind(self, pid: int, tty: str) -> None:
        """Note which program writes to which terminal."""
        self.pid = pid
        self.groups = {pid}
        self._tty = tty

    def resize(self, cols: int, rows: int) -> None:
        self.size = (cols, rows)

    def takes_output(self, attended: bool) -> bool:
        if not attended or len(self.output) < _RESUME:
            self._let_go_on()
        elif len(self.output) >= WINDOW:
            self._stop()
        return True

    def is_over(self) -> bool:
        return self._greeted

    def read(self) -> int:
        count = super().read()
        if count and not self._greeted:
            self._greeted = True
            self._path.unlink(missing_ok=True)
            self.output.drop_first(len(GREETING))
        return count

    def queue(self, write: PendingWrite) -> None:
        raise RequestError("bad_request", "A feed has no input.")

    def reap(self) -> bool:
        return False

    def foreground_group(self) -> int | None:
        return foreground_group_of(self.pid) if self.pid else None

    def is_gone(self) -> bool:
        return not self.living_groups()

    def finish(self) -> None:
        self._let_go_on()
        self._path.unlink(missing_ok=True)
        super().finish()

    def _stop(self) -> None:
        if self._stopped is not None or self._tty is None:
            return
        with contextlib.suppress(OSError):
            # Without O_NOCTTY it could become the holder's own terminal.
            terminal = os.open(self._tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            if _leads_a_session(self.pid):
                termios.tcflow(terminal, termios.TCOOFF)
                self._stopped = terminal
            else:
                os.close(terminal)

    def _let_go_on(self) -> None:
        if self._stopped is not None:
            # A terminal that was hung up meanwhile can't be told, and need not be.
            with contextlib.suppress(termios.error, OSError):
                termios.tcflow(self._stopped, termios.TCOON)
            os.close(self._stopped)
            self._stopped = None


def foreground_group_of(pid: int) -> int | None:
    """The process group that reads the keyboard of a process's terminal."""
    try:
        if (_PROC / "self/stat").exists():
            stats = (_PROC / str(pid) / "stat").read_text(errors="replace")
            group = int(stats.rpartition(")")[2].split()[_FOREGROUND])
        else:
            group = int(_ask_ps(pid))
    except (OSError, ValueError):
        return None
    return group if group > 0 else None


def _ask_ps(pid: int) -> str:
    asked = ["/bin/ps", "-o", "tpgid=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True, timeout=_PS_SECONDS, check=False).stdout


def _leads_a_session(pid: int) -> bool:
    """Whether it runs, and so the terminal with the name that it told is still its own."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False
