"""A wire that a test can cut, freeze and strand: loopback TCP, passed on as it comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

HEAD_MAX = 65_536
SOCKET_PATH = b"GET /realtime/v1/websocket"


class Cable:
    """One connection from its client to the target. `stranded`: what either end says is lost, and neither knows."""

    def __init__(self, near: asyncio.StreamWriter, *, is_socket: bool) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.is_socket = is_socket
        self.stranded = False

    def abort(self) -> None:
        for end in (self.near, self.far):
            if end is not None:
                end.transport.abort()


class Wire:
    """Listens on a port of its own and passes everything on while it is told nothing: sockets to `sockets_to`, REST to
    `target`.
    """

    def __init__(self, target: str, sockets_to: str | None = None) -> None:
        self.url = ""
        self.delay_s = 0.0
        self.turned_away = 0
        self.rest_paths: list[str] = []
        self._target = urlsplit(target)
        self._sockets_to = urlsplit(sockets_to or target)
        self._server: asyncio.Server | None = None
        self._whole = True
        self._sockets_pass = True
        self._rest_status: int | None = None
        self._to_stall: int | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cables: set[Cable] = set()
        self._serving: set[asyncio.Task[None]] = set()

    # What can happen to it

    def cut(self) -> None:
        """End every connection and accept none."""
        self._whole = False
        self.drop()

    def mend(self) -> None:
        self._whole, self._sockets_pass = True, True

    def drop(self, *, sockets: bool = True, rest: bool = True) -> None:
        """End what is connected now; the next connection is welcome."""
        for cable in tuple(self._cables):
            if sockets if cable.is_socket else rest:
                cable.abort()

    def turn_sockets_away(self) -> None:
        """End every socket and accept none; REST goes on."""
        self._sockets_pass = False
        self.drop(rest=False)

    def freeze(self) -> None:
        """Accept, and say nothing: every byte is held up until `thaw`."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._to_stall = None
        self._flowing.set()

    def stall_after(self, size: int) -> None:
        """Freeze in the middle of what a socket is sent: after so many bytes more."""
        self._to_stall = size

    @property
    def flows(self) -> bool:
        return self._flowing.is_set()

    def strand(self) -> None:
        """What is connected now hears nothing more, and is not told so; the next connection is welcome."""
        for cable in self._cables:
            cable.stranded = True

    def answer_rest(self, status: int | None) -> None:
        """Answer every request with this status, and not from the target; None: from the target again."""
        self._rest_status = status
        self.drop(sockets=False)

    async def refuse(self) -> None:
        """Nobody listens on the port any more."""
        assert self._server is not None
        self._server.close()
        self.drop()
        await asyncio.sleep(0)

    async def listen(self) -> None:
        port = urlsplit(self.url).port or 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=HEAD_MAX)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    # What it does

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connection(reader, writer), name="wire: connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pass(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            self.turned_away += 1
            return
        head = await reader.readuntil(b"\r\n\r\n")
        cable = Cable(writer, is_socket=head.startswith(SOCKET_PATH))
        self._cables.add(cable)
        try:
            if cable.is_socket and not self._sockets_pass:
                self.turned_away += 1
            elif not cable.is_socket and self._rest_status is not None:
                await self._answer(head, reader, writer, self._rest_status)
            else:
                await self._connect(cable, head, reader)
        finally:
            self._cables.discard(cable)
            cable.abort()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int
    ) -> None:
        self.turned_away += 1
        await reader.readexactly(content_length(head))
        writer.write(f"HTTP/1.1 {status} Fault\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _connect(self, cable: Cable, head: bytes, reader: asyncio.StreamReader) -> None:
        if not cable.is_socket:
            self.rest_paths.append(head.split(b" ", 2)[1].decode())
        await self._flowing.wait()
        target = self._sockets_to if cable.is_socket else self._target
        far_reader, cable.far = await asyncio.open_connection(target.hostname, target.port)
        cable.far.write(head)
        pumps = [
            asyncio.create_task(self._pump(cable, reader, cable.far), name="wire: pump out"),
            asyncio.create_task(self._pump(cable, far_reader, cable.near), name="wire: pump in"),
        ]
        try:
            await asyncio.wait(pumps)
        finally:
            for pump in pumps:
                pump.cancel()

    async def _pump(self, cable: Cable, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if cable.is_socket and writer is cable.near:
                    data = await self._stalled(data, writer)
                await self._flowing.wait()
                if not cable.stranded:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            return
        finally:
            # Of a cable that is stranded neither end learns that the other is gone.
            if not cable.stranded or writer is cable.far:
                writer.close()

    async def _stalled(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Pass on what may pass before the stall; the rest."""
        if self._to_stall is None:
            return data
        now, rest = data[: self._to_stall], data[self._to_stall :]
        self._to_stall -= len(now)
        writer.write(now)
        await writer.drain()
        if rest:
            self.freeze()
        return rest


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


@asynccontextmanager
async def wire_to(target: str, sockets_to: str | None = None) -> AsyncIterator[Wire]:
    wire = Wire(target, sockets_to)
    await wire.listen()
    try:
        yield wire
    finally:
        wire.thaw()
        await wire.close()
