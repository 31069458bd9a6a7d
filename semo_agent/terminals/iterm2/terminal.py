"""The iTerm2 terminal: what runs is seen in tabs of iTerm2, and its PTY is the holder's.

iTerm2's API gives the screen as it is drawn, at 1 Hz in a hidden tab, without the program's own bytes: no shell marks
at their exact place, nothing of what was drawn over meanwhile, and lines that are numbered anew when a person clears
or resizes. It takes text, not bytes, and does not say when the program has read it. So a tab runs our viewer: it
starts the program on a PTY, hands that to the holder and shows what it prints. Output, marks, input, exit status and
restart are thereby exactly those of the other terminals, also while the API is down. The API is asked for what is
iTerm2's: tabs, their tags and sizes. What a person types, and the answers to what programs ask their terminal, come
by the viewer; the size of the window is the size of the program. A tab that SEMO did not open has no PTY of ours, and
is none of SEMO's sessions: reading it by the API, with gaps, would be another kind of session.
"""

import asyncio
import contextlib
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

import semo_agent
from semo_agent.emulator import checked
from semo_agent.errors import LaunchFailed, TabNotFound, TerminalError, TerminalTimeout
from semo_agent.holder.client import HolderClient
from semo_agent.holder.place import socket_path
from semo_agent.holder.protocol import Header
from semo_agent.terminals.base import ExitStatus, LaunchSpec, Size, TabInfo
from semo_agent.terminals.held import WRITE_SECONDS, HeldTerminal
from semo_agent.terminals.iterm2 import viewer
from semo_agent.terminals.iterm2.connection import ITerm2Connection
from semo_agent.terminals.iterm2.tabs import ITerm2Tabs, Tag, Wanted
from semo_agent.terminals.tab_stream import TabStream

KIND: Final = "iterm2"
ITERM2_DIED: Final = ExitStatus(reason=viewer.ITERM2_DIED)
UNEXPLAINED: Final = ExitStatus(reason="its output was cut off")

_SOURCES: Final = Path(semo_agent.__file__).parents[1]
_LAUNCH_SECONDS: Final = 15.0
_SIZE_SECONDS: Final = 5.0
_TITLE_LENGTH: Final = 13

_log = structlog.get_logger(__name__)


class ITerm2Terminal(HeldTerminal):
    """Tabs of iTerm2 whose programs the holder in `folder` reads. iTerm2 itself answers what programs ask."""

    name = "iterm2"
    kind = KIND
    answers = False
    sizes = False

    def __init__(
        self,
        folder: Path,
        *,
        connection: ITerm2Connection | None = None,
        write_timeout: float = WRITE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(folder, write_timeout=write_timeout, clock=clock)
        self._connection = connection or ITerm2Connection()
        self._tabs = ITerm2Tabs(self._connection)
        self._sessions: dict[str, str] = {}
        """The ids that iTerm2 gave, by tab."""
        self._opening = asyncio.Lock()

    async def see_usable(self) -> None:
        await self._connection.connect()

    async def open(self, spec: LaunchSpec) -> TabInfo:
        info = await super().open(spec)
        if info.size != spec.size and await self._is_alone(info.tab_id):
            # A window that was made for it, and that iTerm2 gave another size.
            with contextlib.suppress(TerminalError):
                await self.resize(info.tab_id, spec.size)
        return self._stream(info.tab_id).described

    async def resize(self, tab_id: str, size: Size) -> None:
        stream = self._stream(tab_id)
        if not stream.exited.is_set():
            await self._resize(self._living(), tab_id, checked(size))
            await _see_size(stream, size)
        if stream.exited.is_set():
            await super().resize(tab_id, size)

    async def close(self, tab_id: str, *, grace: float = 3.0) -> ExitStatus:
        status = await super().close(tab_id, grace=grace)
        await self._close_in_iterm2([tab_id])
        return status

    # The names of the specification

    create_tab = open  # noqa: A003 - the method above is meant
    send_text = HeldTerminal.paste
    send_keystrokes = HeldTerminal.press
    get_output = HeldTerminal.text_between
    close_tab = close

    # What differs from the other terminals

    async def _launch(self, client: HolderClient, spec: LaunchSpec, size: Size) -> Header:
        if not spec.argv:
            raise LaunchFailed("There is no program to start: argv must be a list of texts.")
        await self._connection.connect()
        tab_id = secrets.token_hex(6)
        starting = asyncio.create_task(
            client.request(
                "expect",
                timeout=_LAUNCH_SECONDS,
                tab=tab_id,
                kind=KIND,
                tag=spec.tag,
                argv=list(spec.argv),
                cwd=spec.cwd,
                env=dict(spec.env),
            ),
            name=f"tab {tab_id} starts",
        )
        try:
            return await self._start_in_tab(tab_id, spec, size, starting)
        except BaseException:
            starting.cancel()
            await asyncio.shield(self._undo(client, tab_id))
            raise

    async def _start_in_tab(self, tab_id: str, spec: LaunchSpec, size: Size, starting: asyncio.Task[Header]) -> Header:
        async with self._opening:
            window = await self._our_window()
            session = await self._tabs.create_tab(
                Wanted(self._command(tab_id), f"SEMO {spec.tag}"[:_TITLE_LENGTH], spec.cwd, size, window)
            )
            self._sessions[tab_id] = session
            await self._tabs.tag(session, Tag(tab_id, self._folder_name))
        try:
            described = await starting
        except TerminalTimeout as err:
            raise TerminalTimeout(f"The program did not start in iTerm2. {await self._shown_in(session)}") from err
        return described

    async def _undo(self, client: HolderClient, tab_id: str) -> None:
        with contextlib.suppress(TerminalError):
            await client.request("withdraw", tab=tab_id)
        await self._close_in_iterm2([tab_id])

    async def _hand_over(self, tab_id: str, data: bytes, deadline: float) -> None:
        await self._living().write(tab_id, data, timeout=deadline)

    async def _resize(self, client: HolderClient, tab_id: str, size: Size) -> None:
        session = await self._find(tab_id)
        if session is None:
            raise TabNotFound("The tab is gone from iTerm2.")
        await self._tabs.set_size(session, size)

    async def _connect_backend(self) -> None:
        """It is connected to when something is asked of it; what runs needs it only to be seen."""

    async def _disconnect_backend(self) -> None:
        await self._connection.close()

    async def _adopt_all(self, tabs: Sequence[Header]) -> None:
        await super()._adopt_all(tabs)
        try:
            await self._recognize(tabs)
        except TerminalError as err:
            # They can be read and written all the same.
            _log.warning("iterm2_not_reached", why=str(err))

    async def _recognize(self, tabs: Sequence[Header]) -> None:
        """Find the tabs in iTerm2 again; close those of ours whose program the holder does not know any more."""
        shown = await self._ours()
        sessions = await self._tabs.windows()
        for tab in tabs:
            session = tab["where"]["session"]
            if tab["tab"] not in shown and session in sessions:
                # An agent that died before it had tagged it.
                shown[tab["tab"]] = session
                await self._tabs.tag(session, Tag(tab["tab"], self._folder_name))
        self._sessions |= shown
        await self._close_in_iterm2([tab_id for tab_id in shown if tab_id not in self._streams])

    async def _let_go(self, tab_ids: Sequence[str]) -> None:
        await self._close_in_iterm2(tab_ids)

    async def _tell_end(self, stream: TabStream, told: ExitStatus | None) -> None:
        status = told or UNEXPLAINED
        if status.reason == ITERM2_DIED.reason:
            self._bury(stream, ITERM2_DIED)
        else:
            stream.end(status)

    async def _forget_dead(self, tab_id: str) -> ExitStatus:
        client = self._streams[tab_id].client
        status = await super()._forget_dead(tab_id)
        with contextlib.suppress(TerminalError):
            await client.request("forget", tab=tab_id)
        return status

    # In iTerm2

    @property
    def _folder_name(self) -> str:
        return os.fspath(self._folder)

    def _command(self, tab_id: str) -> str:
        words = (sys.executable, "-S", "-m", viewer.__name__, str(socket_path(self._folder)), tab_id)
        return shlex.join(("/usr/bin/env", f"PYTHONPATH={_SOURCES}", *words))

    async def _ours(self) -> dict[str, str]:
        """The sessions of this agent's folder, by tab."""
        found: dict[str, str] = {}
        for session in await self._tabs.windows():
            with contextlib.suppress(TabNotFound):
                tag = await self._tabs.tag_of(session)
                if tag is not None and tag.folder == self._folder_name:
                    found[tag.tab] = session
        return found

    async def _find(self, tab_id: str) -> str | None:
        """The session that shows a tab, whatever its id is now."""
        known = self._sessions.get(tab_id)
        with contextlib.suppress(TabNotFound):
            tag = await self._tabs.tag_of(known) if known else None
            if tag is not None and tag.tab == tab_id:
                return known
        self._sessions |= (ours := await self._ours())
        return ours.get(tab_id)

    async def _our_window(self) -> str | None:
        """The window with the newest of our tabs: all of them are to be in one."""
        windows = await self._tabs.windows()
        ours = [windows[session] for session in self._sessions.values() if windows.get(session)]
        return ours[-1] if ours else None

    async def _is_alone(self, tab_id: str) -> bool:
        windows = await self._tabs.windows()
        window = windows.get(self._sessions[tab_id])
        return list(windows.values()).count(window or "") == 1

    async def _close_in_iterm2(self, tab_ids: Sequence[str]) -> None:
        """Close what is left of tabs. What can't be closed now, the next start closes."""
        try:
            for tab_id in tab_ids:
                if tab_id in self._sessions and (session := await self._find(tab_id)) is not None:
                    await self._tabs.close_tab(session)
                self._sessions.pop(tab_id, None)
        except TerminalError as err:
            _log.warning("iterm2_tab_left", why=str(err))

    async def _shown_in(self, session: str) -> str:
        """What a tab shows whose program did not start."""
        try:
            rows = [row for row in await self._tabs.get_output(session) if row]
        except TerminalError:
            return "Its tab is gone."
        return f"Its tab shows: {' '.join(rows[-3:])}" if rows else "Its tab shows nothing."


async def _see_size(stream: TabStream, size: Size) -> None:
    """Wait until a tab has the size that iTerm2 was asked for."""
    try:
        async with asyncio.timeout(_SIZE_SECONDS):
            while stream.emulator.size != size and not stream.exited.is_set():
                await stream.resized.wait()
                stream.resized.clear()
    except TimeoutError as err:
        has = stream.emulator.size
        raise TerminalError(
            f"iTerm2 gave the tab {has.cols}x{has.rows} cells; a window that fills the screen keeps its size."
        ) from err
