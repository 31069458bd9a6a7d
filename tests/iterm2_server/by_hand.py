"""What a person does to iTerm2, and what happens to it: one JSON object a line in, one out, on a socket of its own."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any

from semo_agent.terminals.base import Size
from tests.iterm2_server.application import Application
from tests.iterm2_server.handshake import Doorkeeper
from tests.iterm2_server.layout import NotFound
from tests.iterm2_server.profiles import MissingSubstitution, UnknownProfile
from tests.iterm2_server.server import ApiServer
from tests.iterm2_server.session import Session

_REFUSALS = (NotFound, UnknownProfile, MissingSubstitution, KeyError, TypeError, ValueError, OSError)


class ByHand:
    """The deeds, a method each; what it takes are keyword arguments, what it returns is JSON."""

    def __init__(self, application: Application, api: ApiServer, doorkeeper: Doorkeeper, undo_close: float) -> None:
        self._application, self._api, self._doorkeeper = application, api, doorkeeper
        self._undo_close = undo_close

    # Tabs and windows.

    def new_tab(self, profile: str = "", window: str | None = None, *, select: bool = True) -> str:
        """Open a tab; returns the id of its session."""
        into = self._application.window(window) if window else None
        made = self._application.create_tab(self._application.profiles.named(profile), into, None, select=select)
        return made[2].guid

    def close_tab(self, session: str, undo: float | None = None) -> None:
        """Close the tab of a session; its programs end `undo` s later."""
        tab = self._application.tab_of(self._session(session))
        for each in list(tab.root.sessions()):
            self._application.close(each, undo=self._undo_close if undo is None else undo)

    def close_all(self) -> None:
        """Close all windows, for good."""
        for session in list(self._application.sessions()):
            self._application.close(session)

    def undo_close(self, session: str) -> None:
        self._application.undo(session)

    def restart_session(self, session: str) -> str:
        """Run the program of a session anew; returns the id that it has as soon as the old program is dead."""
        return self._session(session).restart()

    def select_tab(self, session: str) -> None:
        tab = self._application.tab_of(self._session(session))
        window = self._application.window_of(tab)
        self._application.activate(window, tab, self._session(session), front=True)

    def hide_window(self, session: str, *, hidden: bool = True) -> None:
        """Put the window of a session into the dock, or take it out."""
        window = self._application.window_of(self._application.tab_of(self._session(session)))
        self._application.show(window, visible=not hidden)

    def resize_window(self, session: str, columns: int, rows: int) -> None:
        self._application.resize(self._session(session), Size(columns, rows))

    # Sessions.

    def type(self, session: str, text: str) -> None:
        self._session(session).type(text.encode())

    def clear_scrollback(self, session: str) -> None:
        """Cmd-K: the scrollback and all of the screen but the line of the cursor."""
        self._session(session).clear_buffer()

    def name(self, session: str, name: str) -> None:
        named = self._session(session)
        named.given_name = name
        self._application.changed(named)

    def look(self, session: str) -> dict[str, Any]:
        """The variables, and the text on the screen."""
        seen = self._session(session)
        rows = ["".join(cell.text for cell in row.cells) for row in seen.buffer.grid()]
        return {"variables": seen.variables(), "screen": rows, "exited": seen.exited}

    def sessions(self) -> list[str]:
        return [session.guid for session in self._application.sessions()]

    # The API.

    def cookie(self, lifetime: float | None = None) -> str:
        """Issue a cookie: for one use, or for `lifetime` s."""
        return self._doorkeeper.cookies.issue(lifetime)

    def refuse_cookies(self, *, refused: bool = True) -> None:
        self._doorkeeper.cookies.refused = refused

    def allow_all_apps(self, *, allowed: bool = True) -> None:
        self._doorkeeper.allows_all = allowed

    def connections(self) -> int:
        return self._api.connections

    def drop_connections(self) -> None:
        self._api.drop()

    def freeze(self) -> None:
        self._api.freeze()

    def thaw(self) -> None:
        self._api.thaw()

    async def disable_api(self) -> None:
        """Untick “Enable Python API”: the socket goes, connections break, sessions stay."""
        await self._api.disable()

    async def enable_api(self) -> None:
        await self._api.enable()

    async def restart_api(self) -> None:
        await self._api.disable()
        await self._api.enable()

    async def restart_app(self, *, restore: bool = True, programs: str = "end") -> None:
        """Quit iTerm2 and start it again: programs end; with `restore` windows, ids and variables come back.

        With programs="live" they live on, as after a crash, and sessions are what they were.
        """
        await self._api.disable()
        if programs == "live":
            self._application.come_back()
        else:
            await self._application.quit(restore=restore)
        await self._api.enable()

    def _session(self, guid: str) -> Session:
        return self._application.session(guid)


class ByHandServer:
    """Takes the deeds from a socket."""

    def __init__(self, path: Path, deeds: ByHand) -> None:
        self.path = path
        self._deeds = deeds

    async def serve(self) -> asyncio.AbstractServer:
        self.path.unlink(missing_ok=True)
        return await asyncio.start_unix_server(self._serve, str(self.path))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                answer = await self._answer(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, wish: dict[str, Any]) -> dict[str, Any]:
        name = str(wish.pop("deed"))
        deed: Callable[..., Any | Awaitable[Any]] | None = (
            None if name.startswith("_") else getattr(self._deeds, name, None)
        )
        if deed is None:
            return {"error": f"Nobody can do {name!r} by hand."}
        try:
            done = deed(**wish)
            return {"done": await done if isawaitable(done) else done}
        except _REFUSALS as err:
            return {"error": f"{name}: {type(err).__name__}: {err}"}
