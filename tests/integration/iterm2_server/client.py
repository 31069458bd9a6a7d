"""What the tests of the iTerm2 server share: the real library, and waiting for what it hears."""

import asyncio
import json
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import iterm2
from iterm2 import api_pb2, rpc

_ids = count(1_000_000)
PATIENCE = 20.0
"""Seconds; how long a test waits for anything before it fails."""


class Client:
    """One connection of the iterm2 library, and the notifications that came over it."""

    def __init__(self, connection: iterm2.Connection) -> None:
        self.connection = connection
        self.heard: list[Any] = []
        self._more = asyncio.Event()

    @classmethod
    async def connect(cls) -> "Client":
        return cls(await iterm2.Connection.async_create())

    async def close(self) -> None:
        """Disconnect, and forget what the library keeps of a connection in its modules."""
        dispatcher = self.connection._Connection__dispatch_forever_future  # type: ignore[attr-defined]  # it has no close
        dispatcher.cancel()
        assert self.connection.websocket is not None
        await self.connection.websocket.close()
        await asyncio.gather(dispatcher, return_exceptions=True)
        iterm2.app.invalidate_app()
        iterm2.notifications._handlers.clear()

    async def hear(self, kind: int, *, session: str | None = None, **arguments: Any) -> int:
        """Subscribe; returns the status."""
        request = rpc.async_notification_request(self.connection, True, kind, session, **arguments)  # type: ignore[arg-type]
        iterm2.notifications._register_helper_if_needed()  # type: ignore[no-untyped-call]  # the library's own
        iterm2.notifications._register_notification_handler_impl((session, kind), self.on_notification)
        return int((await request).notification_response.status)

    async def until(self, check: Callable[[], Any]) -> Any:
        """Wait until a check over what was heard holds; returns its value."""
        async with asyncio.timeout(PATIENCE):
            while not (found := check()):
                self._more.clear()
                await self._more.wait()
        return found

    async def open(
        self,
        command: str,
        *,
        window: str | None = None,
        select: bool = True,
        properties: Mapping[str, Any] | None = None,
    ) -> api_pb2.CreateTabResponse:
        """Run a command in a new tab, by default of a new window."""
        profile = {"Custom Command": "Yes", "Command": command, **(properties or {})}
        values = {key: json.dumps(value) for key, value in profile.items()}
        answer = await rpc.async_create_tab(
            self.connection, window=window, profile_customizations=values, select=select
        )
        return answer.create_tab_response

    async def quiet(self, **properties: Any) -> str:
        """A session whose program writes nothing; returns its id."""
        return (await self.open("/bin/sleep 1000", properties=properties)).session_id

    async def layout(self) -> api_pb2.ListSessionsResponse:
        return (await rpc.async_list_sessions(self.connection)).list_sessions_response

    async def session_ids(self) -> list[str]:
        return [
            link.session.unique_identifier
            for window in (await self.layout()).windows
            for tab in window.tabs
            for link in tab.root.links
        ]

    async def inject(self, session: str, text: str) -> None:
        """Write as the program would."""
        answer = await rpc.async_inject(self.connection, text.encode(), [session])
        assert list(answer.inject_response.status) == [api_pb2.InjectResponse.OK]

    async def send(self, session: str, text: str) -> int:
        answer = await rpc.async_send_text(self.connection, session, text, True)
        return int(answer.send_text_response.status)

    async def screen(self, session: str, *, style: bool = False) -> api_pb2.GetBufferResponse:
        answer = await rpc.async_get_screen_contents(self.connection, session, None, style)
        return answer.get_buffer_response

    async def lines(self, session: str, first: int, end: int) -> list[str]:
        """Text of the lines `first` to `end`, exclusive."""
        span = iterm2.util.CoordRange(iterm2.util.Point(0, first), iterm2.util.Point(0, end))
        wanted = iterm2.util.WindowedCoordRange(span)
        answer = await rpc.async_get_screen_contents(self.connection, session, wanted)
        return [line.text for line in answer.get_buffer_response.contents]

    async def read(self, session: str, line_range: api_pb2.LineRange) -> api_pb2.GetBufferResponse:
        """Read in a way that the library has no call for."""
        asked = api_pb2.GetBufferRequest(session=session, line_range=line_range)
        request = api_pb2.ClientOriginatedMessage(id=next(_ids), get_buffer_request=asked)
        return (await rpc._async_call(self.connection, request)).get_buffer_response

    async def counts(self, session: str) -> dict[str, int]:
        answer = await rpc.async_get_property(self.connection, "number_of_lines", session_id=session)
        counts: dict[str, int] = json.loads(answer.get_property_response.json_value)
        return counts

    async def variable(self, session: str, name: str) -> Any:
        answer = await rpc.async_variable(self.connection, session, gets=[name])
        return json.loads(answer.variable_response.values[0])

    async def shows(self, session: str, text: str) -> list[str]:
        """Wait until the screen shows a text; returns its rows."""
        await self.hear(api_pb2.NOTIFY_ON_SCREEN_UPDATE, session=session)
        async with asyncio.timeout(PATIENCE):
            while True:
                self._more.clear()
                rows = [line.text for line in (await self.screen(session)).contents]
                if any(text in row for row in rows):
                    return rows
                await self._more.wait()

    async def on_notification(self, _connection: iterm2.Connection, notification: Any) -> None:
        self.heard.append(notification)
        self._more.set()


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
