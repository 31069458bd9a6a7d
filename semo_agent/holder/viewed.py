"""A program that runs in a window of another terminal, which shows it; the holder has its PTY."""

from semo_agent.holder.protocol import Header
from semo_agent.holder.tab import HeldTab, Resized

VIEWER_LOST = "its tab was restarted or killed"
_BEHIND = 256 * 1024
"""Bytes not yet shown at which the program waits, so that a Ctrl-C in the window is not hidden behind a flood."""


class ViewedTab(HeldTab):
    """A tab that lives as long as its viewer, which started the program and tells how it ended.

    where: what the viewer knows of its window.
    """

    explained_elsewhere = True

    def __init__(
        self, tab_id: str, kind: str, tag: str, *, pid: int, master: int, size: tuple[int, int], where: Header
    ) -> None:
        super().__init__(tab_id, tag, pid, master, size)
        self.kind = kind
        self._where = where
        self._resize_count = 0
        self._shown: int | None = 0
        self._acknowledged = 0
        self._reason: str | None = None

    def describe(self) -> Header:
        return {**super().describe(), "where": self._where}

    def resize(self, cols: int, rows: int) -> None:
        if (cols, rows) != self.size and not self.finished:
            self._resize_count += 1
            self.resizes.append(Resized(self._resize_count, self.output.end, cols, rows))
        super().resize(cols, rows)

    def takes_output(self, attended: bool) -> bool:
        return self._behind() < _BEHIND and super().takes_output(attended)

    def acknowledge(self, offset: int) -> None:
        self._acknowledged = max(self._acknowledged, offset)
        while self.resizes and self.resizes[0].offset < offset:
            self.resizes.popleft()
        self._forget_output()

    def acknowledge_shown(self, offset: int) -> None:
        """The viewer has drawn what is before `offset`."""
        if self._shown is not None:
            self._shown = max(self._shown, offset)
        self._forget_output()

    def leave(self, reason: str) -> None:
        """Its window is gone: nothing is shown any more."""
        self._shown = None
        if self.exit is None:
            self._reason = self._reason or reason
        self._forget_output()

    def explain(self, ended: Header) -> None:
        """Take the viewer's word for how the program ended."""
        self.exit = {**ended, "reason": self._reason}

    def orphan(self) -> None:
        """The viewer is gone: nobody tells how the program ends."""
        self.leave(VIEWER_LOST)
        if self.exit is None:
            self.explain({"code": None, "signal": None})

    def reap(self) -> bool:
        return False

    def _behind(self) -> int:
        return 0 if self._shown is None else self.output.end - self._shown

    def _forget_output(self) -> None:
        shown = self.output.end if self._shown is None else self._shown
        self.output.forget_before(min(self._acknowledged, shown))
