"""The tabs of the holder: starting programs, moving their bytes, noticing and bringing about their end."""

import functools
import os
import selectors
import signal
from collections.abc import Callable, Mapping, Sequence

from semo_agent.holder.feed import HeldFeed
from semo_agent.holder.protocol import Header, RequestError
from semo_agent.holder.spawn import Spawned, read_failure, spawn
from semo_agent.holder.tab import UNATTENDED, HeldTab
from semo_agent.holder.timers import Timers
from semo_agent.holder.viewed import VIEWER_LOST, ViewedTab

_SETTLE_SECONDS = 0.25
"""A program ended but somebody still has its terminal open: wait so long for more output."""
_CLOSING_TICK = 0.02
_KILLED_SECONDS = 0.5
"""How long a group that was killed may take to be gone; where nobody reaps, it never is."""
_EXPLAINED_SECONDS = 2.0
"""How long another process may take to close the pipe of a program that was killed, or to tell its end."""
_LEFT_SECONDS = 3.0
"""The grace of a program whose window is gone."""
_REOPEN_SECONDS = 0.5


class TabKeeper:
    """All tabs, on the selector of the server. `changed` is called when there is output or an end to tell."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        timers: Timers,
        *,
        attended: Callable[[HeldTab], bool],
        changed: Callable[[], None],
    ) -> None:
        self.tabs: dict[str, HeldTab] = {}
        self._selector = selector
        self._timers = timers
        self._attended = attended
        self._changed = changed
        self._opening = 0

    def is_empty(self) -> bool:
        return not (self.tabs or self._opening)

    def get(self, tab_id: str) -> HeldTab:
        """The tab. Raises `RequestError` when it is gone."""
        tab = self.tabs.get(tab_id)
        if tab is None:
            raise RequestError("tab_not_found", "The tab is gone.")
        return tab

    def open(
        self,
        tag: str,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        size: tuple[int, int],
        opened: Callable[[HeldTab | str], None],
    ) -> None:
        """Start a program; `opened` is called with its tab or the reason why there is none."""
        try:
            child = spawn(argv, cwd, env, *size)
        except OSError as err:
            raise RequestError("launch", f"There is no terminal to be had: {err.strerror}.") from err
        tab = HeldTab(os.urandom(6).hex(), tag, child.pid, child.master, size)
        self._opening += 1
        report = functools.partial(
            self._opened, child, tab, functools.partial(read_failure, child.report, argv, cwd), opened
        )
        self._selector.register(child.report, selectors.EVENT_READ, report)

    def feed(self, feed: HeldFeed) -> None:
        """Keep what comes out of a pipe, as the output of a program that runs elsewhere."""
        if feed.tab_id in self.tabs:
            raise RequestError("bad_request", "There is a tab of this name already.")
        feed.open()
        self.tabs[feed.tab_id] = feed
        self.watch(feed)

    def get_feed(self, tab_id: str) -> HeldFeed:
        """The feed. Raises `RequestError` when it is gone, or a tab of ours."""
        tab = self.get(tab_id)
        if not isinstance(tab, HeldFeed):
            raise RequestError("bad_request", "The program runs here; only a feed is told of it.")
        return tab

    def take_over(self, tab: ViewedTab) -> None:
        """Keep the PTY of a program that its viewer has started."""
        self.tabs[tab.tab_id] = tab
        self.watch(tab)

    def get_viewed(self, tab_id: str) -> ViewedTab:
        """The tab. Raises `RequestError` when it is gone, or has no viewer."""
        tab = self.get(tab_id)
        if not isinstance(tab, ViewedTab):
            raise RequestError("bad_request", "The tab has no viewer.")
        return tab

    def explain(self, tab: ViewedTab, ended: Header) -> None:
        """Note how a program ended, and finish its tab when its last output has come."""
        tab.explain(ended)
        self._finish_or_settle(tab)

    def leave(self, tab: ViewedTab, reason: str) -> None:
        """End the program of a window that is gone."""
        tab.leave(reason)
        self.watch(tab)
        if not (tab.finished or tab.ending):
            self.end(tab, _LEFT_SECONDS, lambda: None)

    def lose_viewer(self, tab: ViewedTab) -> None:
        """End a program that nobody shows any more."""
        self.leave(tab, VIEWER_LOST)
        if tab.exit is None:
            tab.orphan()
            self._finish_or_settle(tab)

    def drop(self, feed: HeldFeed) -> None:
        """Forget a feed that nobody will write to any more."""
        self._finish(feed)
        self.forget(feed)

    def forget(self, tab: HeldTab) -> None:
        """Drop an ended tab and its output."""
        if not tab.finished:
            raise RequestError("bad_request", "The program still runs; end it first.")
        del self.tabs[tab.tab_id]
        self._changed()

    def _opened(
        self,
        child: Spawned,
        tab: HeldTab,
        read_failure: Callable[[], str | None],
        opened: Callable[[HeldTab | str], None],
        _events: int,
    ) -> None:
        failure = read_failure()
        self._selector.unregister(child.report)
        os.close(child.report)
        self._opening -= 1
        if failure is not None:
            os.close(tab.master)
            os.waitpid(tab.pid, 0)
            opened(failure)
            self._changed()
            return
        self.tabs[tab.tab_id] = tab
        self.watch(tab)
        opened(tab)
        # It may have ended before it was in the table, and then its signal found nothing to reap.
        self._reap(tab)

    def watch(self, tab: HeldTab) -> None:
        """Ask the selector for what the tab can do: read while there is room, write while there is input."""
        if tab.finished:
            return
        if not self._attended(tab):
            tab.output.shrink_to(UNATTENDED)
        events = 0
        if tab.takes_output(self._attended(tab)) and not tab.hung_up:
            events |= selectors.EVENT_READ
        if tab.writes:
            events |= selectors.EVENT_WRITE
        self._select(tab.master, events, functools.partial(self._move, tab))

    def _select(self, fd: int, events: int, action: Callable[[int], None]) -> None:
        if not events:
            self._deselect(fd)
        elif fd in self._selector.get_map():
            self._selector.modify(fd, events, action)
        else:
            self._selector.register(fd, events, action)

    def _deselect(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _move(self, tab: HeldTab, events: int) -> None:
        if tab.finished:
            # Something before it in the same round closed the PTY; its number may be another file's by now.
            return
        if events & selectors.EVENT_WRITE:
            tab.flush()
        if events & selectors.EVENT_READ:
            tab.read()
            if tab.hung_up:
                self._hung_up(tab)
        if not tab.finished:
            self.watch(tab)
        self._changed()

    def _hung_up(self, tab: HeldTab) -> None:
        if tab.is_over():
            self._finish(tab)
        else:
            # It closed its terminal and lives on; it may open it again.
            self._timers.after(_REOPEN_SECONDS, functools.partial(self._look_again, tab))

    def _look_again(self, tab: HeldTab) -> None:
        tab.hung_up = False
        self.watch(tab)

    def watch_children(self) -> None:
        reader, writer = os.pipe()
        for fd in (reader, writer):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, functools.partial(self._child_ended, reader))

    def _child_ended(self, reader: int, _events: int) -> None:
        os.read(reader, 4096)
        for tab in list(self.tabs.values()):
            self._reap(tab)

    def _reap(self, tab: HeldTab) -> None:
        if tab.reap():
            self._finish_or_settle(tab)

    def _finish_or_settle(self, tab: HeldTab) -> None:
        if tab.hung_up:
            self._finish(tab)
        else:
            self._settle_later(tab)

    def _settle_later(self, tab: HeldTab) -> None:
        self._timers.after(_SETTLE_SECONDS, functools.partial(self._settle, tab, tab.output.end))

    def _settle(self, tab: HeldTab, seen: int) -> None:
        """Finish an ended tab whose terminal somebody keeps open, once nothing more comes."""
        waits_for_client = not tab.takes_output(self._attended(tab))
        if seen == tab.output.end and not waits_for_client:
            self._finish(tab)
        elif not tab.finished:
            self._settle_later(tab)

    def _finish(self, tab: HeldTab) -> None:
        if tab.finished:
            return
        self._deselect(tab.master)
        tab.finish()
        self._changed()

    def end(self, tab: HeldTab, grace: float, ended: Callable[[], None]) -> None:
        """Hang up, then terminate, then kill; `ended` is called when program and terminal are gone."""
        stages = [(0.0, signal.SIGHUP), (grace / 2, signal.SIGTERM), (grace, signal.SIGKILL)]
        began = self._timers.now()
        tab.ending = True

        def tick() -> None:
            waited = self._timers.now() - began
            while stages and waited >= stages[0][0] and not tab.is_gone():
                tab.note_groups()
                tab.kill(stages.pop(0)[1])
            late = waited >= grace + _KILLED_SECONDS
            if tab.explained_elsewhere and waited >= grace + _EXPLAINED_SECONDS:
                # Whoever would close its pipe, or tell how it ended, is gone.
                self._finish(tab)
            if tab.finished and (tab.is_gone() or late):
                ended()
            else:
                self._timers.after(_CLOSING_TICK, tick)

        tick()
