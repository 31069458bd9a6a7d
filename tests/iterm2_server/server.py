"""The API's socket and the connections to it."""

import asyncio
import contextlib
from http import HTTPStatus
from pathlib import Path

from google.protobuf.message import DecodeError
from iterm2 import api_pb2
from websockets.asyncio.server import Server, ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.iterm2_server.application import Application
from tests.iterm2_server.dispatch import Dispatcher
from tests.iterm2_server.handshake import SUBPROTOCOL, Doorkeeper
from tests.iterm2_server.notifications import Listener

_LIBRARY = Path("Library/Application Support/iTerm2/private/socket")


def api_socket(home: Path) -> Path:
    return home / _LIBRARY


class ApiServer:
    """Serves one application while the Python API is enabled; the socket is there only then."""

    def __init__(self, home: Path, application: Application, doorkeeper: Doorkeeper, protocol: str) -> None:
        self.path = api_socket(home)
        self._application = application
        self._doorkeeper = doorkeeper
        self._protocol = protocol
        self._server: Server | None = None
        self._connections: dict[ServerConnection, Dispatcher] = {}
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._free = asyncio.Condition()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def enable(self) -> None:
        """Listen. Raises `OSError`, for one when the path is too long."""
        if self._server is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.unlink(missing_ok=True)
        self._server = await unix_serve(
            self._serve,
            str(self.path),
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            process_request=self._admit,
            process_response=self._sign,
            max_size=None,
            ping_interval=None,
        )
        self.path.chmod(0o600)

    async def disable(self) -> None:
        """Hang up on everybody and take the socket away."""
        self.thaw()
        self.drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._server = None
        self.path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Break all connections without a word, as a crash does."""
        for connection in self._connections:
            connection.transport.abort()

    def freeze(self) -> None:
        """Hear nothing and say nothing until `thaw`; connections stay."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        await self._thawed.wait()
        refusal = self._doorkeeper.refusal(request)
        return None if refusal is None else connection.respond(HTTPStatus(refusal[0]), refusal[1] + "\n")

    def _sign(self, connection: ServerConnection, request: Request, response: Response) -> Response:
        response.headers["X-iTerm2-Protocol-Version"] = self._protocol
        return response

    async def _serve(self, connection: ServerConnection) -> None:
        outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        listener = Listener(lambda message: outgoing.put_nowait(message.SerializeToString()))
        dispatcher = Dispatcher(self._application, listener)
        self._connections[connection] = dispatcher
        self._application.notifications.join(listener)
        writer = asyncio.create_task(self._write(connection, outgoing), name="api writer")
        try:
            await self._read(connection, dispatcher, listener)
        finally:
            del self._connections[connection]
            self._application.notifications.leave(listener)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            async with self._free:
                self._free.notify_all()

    async def _read(self, connection: ServerConnection, dispatcher: Dispatcher, listener: Listener) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for data in connection:
                await self._thawed.wait()
                await self._wait_for_transactions(dispatcher)
                try:
                    request = api_pb2.ClientOriginatedMessage.FromString(data if isinstance(data, bytes) else b"\xff")
                except DecodeError:
                    await connection.close(1007)
                    return
                listener.send(dispatcher.answer(request))
                if request.HasField("transaction_request"):
                    async with self._free:
                        self._free.notify_all()

    async def _wait_for_transactions(self, mine: Dispatcher) -> None:
        """While a client is in a transaction, nobody else is answered."""

        def is_free() -> bool:
            return not any(each.in_transaction for each in self._connections.values() if each is not mine)

        async with self._free:
            await self._free.wait_for(is_free)

    async def _write(self, connection: ServerConnection, outgoing: asyncio.Queue[bytes]) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                data = await outgoing.get()
                await self._thawed.wait()
                await connection.send(data)
