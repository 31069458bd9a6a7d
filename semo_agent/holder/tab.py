"""One program on a PTY: what it wrote, what is still to be written to it, how it ended."""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from semo_agent.holder.protocol import Header
from semo_agent.holder.retained import RetainedOutput
from semo_agent.holder.spawn import set_size

WINDOW = 4 * 1024 * 1024
"""Bytes not acknowledged at which a tab with a client is not read: its program waits, nothing is lost."""
UNATTENDED = 8 * 1024 * 1024
"""Bytes kept of a tab without a client; then the oldest go."""
LONGEST_QUEUE = 8 * 1024 * 1024
"""Bytes waiting for a program that does not read."""

_RESIZES_KEPT = 256
_READ = 64 * 1024
_WRITE = 64 * 1024


@dataclass(slots=True)
class PendingWrite:
    """Bytes on their way to a program, and who wants to know when all of them are there."""

    key: tuple[int, int]
    data: bytes
    done: Callable[[str | None, int], None]
    """Called with the kind of error, if any, and the number of bytes written."""
    written: int = 0


@dataclass(frozen=True, slots=True)
class Resized:
    """A change of size that did not come from a client. offset: of the output that was written at the size before."""

    number: int
    offset: int
    cols: int
    rows: int


class HeldTab:
    """A tab of the holder. It does no waiting: the server calls it when its PTY is ready."""

    kind = "pty"
    explained_elsewhere = False
    """Whether another process tells how the program ended."""

    def __init__(self, tab_id: str, tag: str, pid: int, master: int, size: tuple[int, int]) -> None:
        self.tab_id = tab_id
        self.tag = tag
        self.pid = pid
        self.master = master
        self.size = size
        self.output = RetainedOutput()
        self.writes: deque[PendingWrite] = deque()
        self.queued = 0
        self.answered = 0
        """Offset of output up to which the replies of an emulator were written: none is given twice."""
        self.exit: Header | None = None
        self.finished = False
        """The program ended and all of its output was read."""
        self.hung_up = False
        """The last read found nobody at the other end."""
        self.groups: set[int] = {pid}
        self.ending = False
        self.resizes: deque[Resized] = deque(maxlen=_RESIZES_KEPT)

    def describe(self) -> Header:
        cols, rows = self.size
        return {
            "tab": self.tab_id,
            "kind": self.kind,
            "tag": self.tag,
            "pid": self.pid,
            "cols": cols,
            "rows": rows,
            "exit": self.exit if self.finished else None,
            "over": self.finished,
            "start": self.output.start,
            "end": self.output.end,
            "answered": self.answered,
        }

    def resize(self, cols: int, rows: int) -> None:
        self.size = (cols, rows)
        if not self.finished:
            set_size(self.master, cols, rows)

    def acknowledge(self, offset: int) -> None:
        """Forget output that a client has kept."""
        self.output.forget_before(offset)

    def next_resize(self, number: int) -> Resized | None:
        """The first from this number on."""
        return next((resized for resized in self.resizes if resized.number >= number), None)

    def takes_output(self, attended: bool) -> bool:
        """Whether to read now: where a client is behind, the program waits."""
        return len(self.output) < WINDOW or not attended

    def is_over(self) -> bool:
        """Whether nothing more comes when nobody is at the other end."""
        return self.exit is not None

    def read(self) -> int:
        """Take in what the program wrote, one piece; returns its length and notes a hang-up."""
        self.hung_up = False
        try:
            data = os.read(self.master, _READ)
        except BlockingIOError:
            return 0
        except OSError:
            # EIO on Linux: nobody holds the other end.
            data = b""
        self.hung_up = not data
        self.output.append(data)
        return len(data)

    def queue(self, write: PendingWrite) -> None:
        """Put a write in line; it never mixes with another."""
        if self.exit is not None:
            write.done("ended", 0)
        elif self.queued + len(write.data) > LONGEST_QUEUE:
            write.done("full", 0)
        else:
            self.writes.append(write)
            self.queued += len(write.data)
            self.flush()

    def flush(self) -> None:
        """Hand over as much as the program takes now."""
        while self.writes:
            write = self.writes[0]
            try:
                count = os.write(self.master, write.data[write.written : write.written + _WRITE])
            except BlockingIOError:
                return
            except OSError:
                self.fail_writes("ended")
                return
            write.written += count
            self.queued -= count
            if write.written < len(write.data):
                continue
            self.writes.popleft()
            write.done(None, write.written)

    def abandon(self, key: tuple[int, int]) -> None:
        """Drop the rest of a write, so that nothing is typed after its deadline."""
        for write in self.writes:
            if write.key == key:
                self.writes.remove(write)
                self.queued -= len(write.data) - write.written
                write.done("abandoned", write.written)
                return

    def fail_writes(self, kind: str) -> None:
        failed, self.writes, self.queued = list(self.writes), deque(), 0
        for write in failed:
            write.done(kind, write.written)

    def reap(self) -> bool:
        """Look whether the program ended; true when it just did."""
        if self.exit is not None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.exit = exit_of(status)
        return True

    def foreground_group(self) -> int | None:
        """The process group that reads the keyboard now."""
        try:
            group = os.tcgetpgrp(self.master)
        except OSError:
            return None
        return group if group > 0 else None

    def note_groups(self) -> None:
        """Remember the foreground group, which may outlive the leader of the session."""
        if not self.finished and (group := self.foreground_group()) is not None:
            self.groups.add(group)

    def kill(self, number: int) -> None:
        """Send a signal to all groups that are known, and wake those that are stopped."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
                os.killpg(group, signal.SIGCONT)

    def is_gone(self) -> bool:
        """Whether the program and the groups that were signalled with it have ended."""
        return self.exit is not None and not self.living_groups()

    def living_groups(self) -> set[int]:
        """The groups that were signalled and have not ended."""
        self.groups = {group for group in self.groups if _group_lives(group)}
        return self.groups

    def finish(self) -> None:
        """Close the PTY; whoever still has it open is hung up."""
        self.finished = True
        if not self.ending:
            # From here on the numbers may belong to somebody else.
            self.groups.clear()
        os.close(self.master)
        self.fail_writes("ended")


def exit_of(status: int) -> Header:
    """A wait status as exit code or signal."""
    if os.WIFSIGNALED(status):
        return {"code": None, "signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
