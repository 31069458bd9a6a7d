"""One connection to iTerm2's API: found, allowed in, made again when it is lost, and never waited for without limit.

The library's own ways are not used where they are wrong for a process that runs for weeks: its `async_create` dials
a TCP port when there is no socket, blocks the loop while it asks for a cookie, and ends the process at a 406; a call
whose socket closes waits for ever; `App` and `ScreenStreamer` keep callbacks of dead connections and lose updates.
"""

import asyncio
import os
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from semo_agent.errors import TerminalDied, TerminalError, TerminalTimeout
from semo_agent.holder.place import find_listener
from semo_agent.terminals.iterm2.cookie import (
    COOKIE_VARIABLE,
    KEY_VARIABLE,
    Cookie,
    Run,
    ask_for_cookie,
    run_program,
    runs_iterm2,
    take_cookie,
)
from semo_agent.terminals.iterm2.faults import (
    OLDEST_PROTOCOL,
    ApiDisabled,
    CookieRefused,
    NotInstalled,
    NotRunning,
    TooOld,
)

try:
    with warnings.catch_warnings():
        # The library uses the older client of websockets, inside a bare except: as an error it would lose it.
        warnings.simplefilter("ignore", DeprecationWarning)
        import iterm2
        from iterm2.api_pb2 import ServerOriginatedMessage
        from iterm2.rpc import RPCException
        from websockets.exceptions import ConnectionClosed, WebSocketException
        from websockets.legacy.exceptions import InvalidStatusCode
except ImportError as err:
    raise NotInstalled from err

CALL_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 5.0
_UNAUTHORIZED, _NOT_ACCEPTABLE = 401, 406

Work = Callable[[iterm2.Connection], Awaitable[ServerOriginatedMessage]]


class _Channel(iterm2.Connection):
    """The library's connection on its unix socket, with a dispatcher that ends quietly."""

    async def open(self, cookie: Cookie | None) -> None:
        with _shown(cookie):
            # It reads the environment now, before anything else runs.
            connecting = self._get_unix_connect_coro()
        self.websocket = await connecting

    @property
    def is_open(self) -> bool:
        return self.websocket is not None and self.websocket.open

    async def dispatch(self) -> None:
        """Hand out replies until the connection is lost. We subscribe to nothing, so nothing else comes."""
        if self.websocket is None:
            return
        with suppress(ConnectionClosed, OSError):
            while True:
                message = ServerOriginatedMessage()
                message.ParseFromString(_bytes(await self.websocket.recv()))
                waiting = self._get_receiver_future(message)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)

    async def close(self) -> None:
        if self.websocket is not None:
            await self.websocket.close()


class ITerm2Connection:
    """The way to iTerm2, made when it is first needed and again after it was lost."""

    def __init__(self, *, timeout: float = CALL_SECONDS, run: Run = run_program) -> None:
        self._timeout = timeout
        self._run = run
        self._cookie = take_cookie(os.environ)
        self._channel: _Channel | None = None
        self._dispatching: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Be connected. Raises `ITerm2Unavailable`, `TerminalTimeout`."""
        async with self._connecting:
            if not self._is_connected:
                await self.close()
                await self._open()

    @property
    def _is_connected(self) -> bool:
        dispatches = self._dispatching is not None and not self._dispatching.done()
        return dispatches and self._channel is not None and self._channel.is_open

    async def call(self, work: Work) -> ServerOriginatedMessage:
        """Do one request; the reply. It may have been done though this raises.

        Raises `TerminalError` with iTerm2's words, `TerminalDied` when the connection is lost, `TerminalTimeout`.
        """
        await self.connect()
        if self._channel is None or self._dispatching is None:
            raise TerminalDied("iTerm2 is not connected.")
        asking = asyncio.ensure_future(_as_coroutine(work(self._channel)))
        try:
            await asyncio.wait({asking, self._dispatching}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            return self._reply(asking)
        finally:
            asking.cancel()

    async def again(self, work: Work) -> ServerOriginatedMessage:
        """As `call`, for what does no harm when it is done twice: once more on a new connection if one is lost."""
        try:
            return await self.call(work)
        except TerminalDied:
            return await self.call(work)

    async def close(self) -> None:
        if self._channel is not None and self._dispatching is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await self._channel.close()
            self._dispatching.cancel()
            await asyncio.wait([self._dispatching])

    def _reply(self, asking: "asyncio.Future[ServerOriginatedMessage]") -> ServerOriginatedMessage:
        try:
            if asking.done():
                return asking.result()
        except RPCException as err:
            raise TerminalError(f"iTerm2 refused it: {err}.") from err
        except (ConnectionClosed, OSError) as err:
            raise TerminalDied("The connection to iTerm2 is lost.") from err
        if self._dispatching is not None and self._dispatching.done():
            raise TerminalDied("The connection to iTerm2 is lost.")
        raise TerminalTimeout(f"iTerm2 did not answer within {self._timeout:g} s.")

    async def _open(self) -> None:
        await self._see_listening()
        if self._cookie is None and not _needs_no_cookie():
            await _see_answering()
            self._cookie = await ask_for_cookie(self._run)
        channel = await self._open_channel() or await self._open_with_new_cookie()
        if channel.iterm2_protocol_version < OLDEST_PROTOCOL:
            await channel.close()
            raise TooOld
        self._channel = channel
        self._dispatching = asyncio.create_task(channel.dispatch(), name="iTerm2 replies")

    async def _open_with_new_cookie(self) -> _Channel:
        """The one we had was used up, or is too old."""
        self._cookie = await ask_for_cookie(self._run)
        channel = await self._open_channel()
        if channel is None:
            self._cookie = None
            raise CookieRefused
        return channel

    async def _open_channel(self) -> _Channel | None:
        """A new connection; None where iTerm2 does not take the cookie."""
        channel = _Channel()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await channel.open(self._cookie)
        except TimeoutError as err:
            raise TerminalTimeout("iTerm2 does not answer.") from err
        except InvalidStatusCode as err:
            if err.status_code == _UNAUTHORIZED:
                return None
            raise (TooOld() if err.status_code == _NOT_ACCEPTABLE else TerminalDied(f"iTerm2: {err}")) from err
        except (OSError, EOFError, WebSocketException) as err:
            raise NotRunning from err
        return channel

    async def _see_listening(self) -> None:
        """Look for the socket ourselves: without one the library dials a TCP port, where anybody may listen."""
        path = api_socket()
        if not await asyncio.to_thread(path.exists):
            raise ApiDisabled if await runs_iterm2(self._run) else NotRunning


def api_socket() -> Path:
    """Where iTerm2 listens."""
    suite = os.environ.get("IT2_SUITE", "iTerm2")
    return Path("~/Library/Application Support").expanduser() / suite / "private" / "socket"


async def _see_answering() -> None:
    """AppleScript would start an iTerm2 that does not run."""
    if await asyncio.to_thread(find_listener, api_socket()) is None:
        raise NotRunning


@contextmanager
def _shown(cookie: Cookie | None) -> Iterator[None]:
    """The library shows the cookie that stands in the environment, and wants no other to stand there."""
    if cookie is not None:
        os.environ[COOKIE_VARIABLE], os.environ[KEY_VARIABLE] = cookie.value, cookie.key
    try:
        yield
    finally:
        os.environ.pop(COOKIE_VARIABLE, None)
        os.environ.pop(KEY_VARIABLE, None)


def _needs_no_cookie() -> bool:
    """Whether the owner of the machine has switched cookies off, in a file that only root can write."""
    return bool(iterm2.auth.applescript_auth_disabled())  # type: ignore[no-untyped-call]  # the library's own omission


async def _as_coroutine(work: Awaitable[ServerOriginatedMessage]) -> ServerOriginatedMessage:
    return await work


def _bytes(data: str | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.encode()
