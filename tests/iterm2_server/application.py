"""iTerm2 without its windows on a screen: sessions in tabs in windows, and what a person does to them."""

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from iterm2 import api_pb2

from semo_agent.terminals.base import Size
from tests.iterm2_server.buffer import Mark
from tests.iterm2_server.cadence import Cadence
from tests.iterm2_server.escapes import Told
from tests.iterm2_server.layout import NotFound, Split, Tab, Window
from tests.iterm2_server.notifications import Notifications
from tests.iterm2_server.profiles import Profile, Profiles
from tests.iterm2_server.prompts import Prompts
from tests.iterm2_server.session import Session

T = TypeVar("T")

_LOOKS, _LOOK_S = 50, 0.01
_TELLS_SELECTION = (1, 18)


class Application:
    """All windows. Whoever listens is told by `notifications`."""

    def __init__(self, profiles: Profiles, cadence: Cadence, protocol: tuple[int, int]) -> None:
        self.profiles = profiles
        self.notifications = Notifications(self)
        self.windows: list[Window] = []
        self.prompts = Prompts(self.notifications)
        self._protocol = protocol
        self.user: dict[str, Any] = {}
        self._cadence = cadence
        cadence.tell, cadence.sees = self.notifications.screen_update, self.is_visible
        self._closed: dict[str, tuple[Session, asyncio.TimerHandle]] = {}
        self._numbers = iter(range(1, 1_000_000))
        self.is_active = True

    # What is there.

    def sessions(self) -> Iterator[Session]:
        for tab in self.tabs():
            yield from tab.root.sessions()

    def tabs(self) -> Iterator[Tab]:
        for window in self.windows:
            yield from window.tabs

    @property
    def current_window(self) -> Window | None:
        """The one in front is the last."""
        return self.windows[-1] if self.windows else None

    def session(self, guid: str) -> Session:
        """By its id; "active" is the one in front. Raises `NotFound`."""
        if guid in ("", "active"):
            window = self.current_window
            if window is None or window.selected is None:
                raise NotFound(guid)
            return window.selected.active
        return _first(guid, (session for session in self.sessions() if session.guid == guid))

    def tab(self, tab_id: str) -> Tab:
        return _first(tab_id, (tab for tab in self.tabs() if tab.tab_id == tab_id))

    def window(self, window_id: str) -> Window:
        return _first(window_id, (window for window in self.windows if window.window_id == window_id))

    def tab_of(self, session: Session) -> Tab:
        return _first(session.guid, (tab for tab in self.tabs() if session in tab.root.sessions()))

    def window_of(self, tab: Tab) -> Window:
        return _first(tab.tab_id, (window for window in self.windows if tab in window.tabs))

    def is_visible(self, session: Session) -> bool:
        """Whether a person could see it: its tab is selected in a window that is not hidden."""
        return any(
            window.visible and window.selected is not None and session in window.selected.root.sessions()
            for window in self.windows
        )

    def list_sessions(self) -> api_pb2.ListSessionsResponse:
        response = api_pb2.ListSessionsResponse(windows=[window.message() for window in self.windows])
        if self._protocol < _TELLS_SELECTION:
            for window in response.windows:
                window.ClearField("selected_tab_id")
                for tab in window.tabs:
                    tab.ClearField("active_session_id")
        return response

    def place(self, scope: int, identifier: str) -> "Tab | Window | Application":
        """What has variables, but for sessions. Raises `NotFound`."""
        if scope == api_pb2.TAB:
            return self.tab(identifier)
        return self.window(identifier) if scope == api_pb2.WINDOW else self

    def variable(self, name: str) -> Any:
        return self.user.get(name, os.getpid() if name == "pid" else None)

    # What can be done.

    def create_tab(
        self, profile: Profile, window: Window | None, index: int | None, *, select: bool, guid: str | None = None
    ) -> tuple[Window, Tab, Session]:
        """Run a profile in a new tab; no window means a new one."""
        if is_new := window is None:
            window = Window(next(self._numbers), profile.size)
        session = Session(profile, window.size, self, guid=guid)
        tab = Tab(next(self._numbers), Split(True, [session]), session)
        session.place = f"w{len(self.windows) - (not is_new)}t{len(window.tabs)}p0"
        session.start()
        window.tabs.insert(len(window.tabs) if index is None else index, tab)
        if is_new:
            self.windows.append(window)
        if select or is_new:
            self._select(window, tab)
        self.notifications.new_session(session)
        self.notifications.layout_change()
        return window, tab, session

    def split(self, session: Session, profile: Profile, *, vertical: bool, before: bool) -> Session:
        """A new pane beside or below a session."""
        tab = self.tab_of(session)
        new = Session(profile, session.size, self)
        new.place = session.place[:-1] + str(len(list(tab.root.sessions())))
        new.start()
        tab.root.replace(session, Split(vertical, [new, session] if before else [session, new]))
        tab.active = new
        tab.root.resize(self.window_of(tab).size)
        self.notifications.new_session(new)
        self.notifications.layout_change()
        return new

    def close(self, session: Session, *, undo: float = 0.0) -> None:
        """Take a session off its tab; its program ends `undo` s later."""
        self._remove(session)
        self.notifications.layout_change()
        if undo > 0:
            timer = asyncio.get_running_loop().call_later(undo, self._terminate, session)
            self._closed[session.guid] = session, timer
        else:
            self._terminate(session)

    def undo(self, guid: str) -> None:
        """Bring back what was just closed, in a window of its own. Raises `NotFound`."""
        if guid not in self._closed:
            raise NotFound(guid)
        session, timer = self._closed.pop(guid)
        timer.cancel()
        window = Window(next(self._numbers), session.size)
        tab = Tab(next(self._numbers), Split(True, [session]), session)
        window.tabs.append(tab)
        self.windows.append(window)
        self._select(window, tab)
        self.notifications.new_session(session)
        self.notifications.layout_change()

    def resize(self, session: Session, size: Size) -> None:
        """Give a session a size by giving it to its window, and so to all tabs of it."""
        self.window_of(self.tab_of(session)).resize(size)
        self.notifications.layout_change()

    def activate(self, window: Window, tab: Tab | None, session: Session | None, *, front: bool) -> None:
        """Bring to the front what is named."""
        if session is not None and tab is not None:
            tab.active = session
            self.notifications.focus(api_pb2.FocusChangedNotification(session=session.guid))
        if tab is not None:
            self._select(window, tab)
        if front:
            self._bring_to_front(window)

    def show(self, window: Window, *, visible: bool) -> None:
        """Take a window out of the dock, or put it there."""
        window.visible = visible
        self._cadence.reconsider()

    # What happens by itself.

    def changed(self, session: Session) -> None:
        self._cadence.changed(session)
        self.notifications.look_at_variables()

    def told(self, session: Session, told: Told) -> None:
        if told.number == 1337 and told.text.startswith("Custom=id="):
            sender, _, payload = told.text.removeprefix("Custom=id=").partition(":")
            self.notifications.custom_sequence(session, sender, payload)

    def marked(self, session: Session, mark: Mark) -> None:
        self.prompts.mark(session, mark)

    def restarted(self, session: Session, before: str) -> None:
        self.notifications.renamed(before, session.guid)
        self.notifications.layout_change()
        self.changed(session)

    def ended(self, session: Session) -> None:
        if session.profile.closes_on_end:
            self.close(session)

    # How it ends.

    def come_back(self) -> None:
        """Be started again after a crash: the programs lived on in their servers, windows and tabs have other ids."""
        for window in self.windows:
            window.number = next(self._numbers)
            for tab in window.tabs:
                tab.number = next(self._numbers)

    async def quit(self, *, restore: bool) -> None:
        """End all programs as the end of iTerm2 does; with `restore` the windows come back, with new programs."""
        arrangement = list(self.windows)
        left = [*self.sessions(), *(session for session, _ in self._closed.values())]
        for _, timer in self._closed.values():
            timer.cancel()
        self._closed, self.windows = {}, []
        await end_all(left)
        if restore:
            for window in arrangement:
                self._restore(window)

    def _restore(self, window: Window) -> None:
        restored: Window | None = None
        for old in list(window.tabs):
            for session in old.root.sessions():
                restored, _, new = self.create_tab(session.profile, restored, None, select=False, guid=session.guid)
                new.user.update(session.user)
                new.given_name = session.given_name

    def _terminate(self, session: Session) -> None:
        self._closed.pop(session.guid, None)
        self._cadence.forget(session)
        session.close()
        self.notifications.terminated(session)

    def _remove(self, session: Session) -> None:
        tab = self.tab_of(session)
        window = self.window_of(tab)
        tab.root.remove(session)
        left = list(tab.root.sessions())
        if left:
            tab.root.resize(window.size)
            tab.active = tab.active if tab.active in left else left[0]
            return
        at = window.tabs.index(tab)
        window.tabs.remove(tab)
        if not window.tabs:
            self.windows.remove(window)
        elif window.selected is tab:
            self._select(window, window.tabs[min(at, len(window.tabs) - 1)])

    def _select(self, window: Window, tab: Tab) -> None:
        window.selected = tab
        self._cadence.reconsider()
        self.notifications.focus(api_pb2.FocusChangedNotification(selected_tab=tab.tab_id))

    def _bring_to_front(self, window: Window) -> None:
        window.visible = True
        self.windows.remove(window)
        self.windows.append(window)
        self._cadence.reconsider()
        self.notifications.window_focus(window.window_id)


def _first(name: str, found: Iterable[T]) -> T:
    for one in found:
        return one
    raise NotFound(name)


async def end_all(sessions: Iterable[Session]) -> None:
    """End programs; those that take no hint are killed."""
    sessions = list(sessions)
    for session in sessions:
        session.hang_up()
    for _ in range(_LOOKS):
        if not any(_lives(session) for session in sessions):
            break
        await asyncio.sleep(_LOOK_S)
    for session in sessions:
        if session.program is not None and _lives(session):
            session.program.signal(signal.SIGKILL)
        session.buffer.close()


def _lives(session: Session) -> bool:
    return session.program is not None and session.program.lives()
