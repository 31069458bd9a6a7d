"""Reads `realtime.send` from the write-ahead log, in commit order, the moment it is committed."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import structlog
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.sql import SQL, Identifier, Literal

from semo_hub.errors import PostgresError
from semo_hub.pgoutput import Changes, Decoder, Inserted, KeepAlive, read_frame, status_update
from semo_hub.shutdown import Shutdown

PUBLICATION = "supabase_realtime_messages_publication"

_FEEDBACK_EVERY = 5.0  # s; the server gives up on a silent reader after 60
_OPEN_TIMEOUT = 30.0  # s; a slot waits for the transactions that are open
_BATCH = 100  # messages handled before others get a turn
_LONGEST_PAUSE = 5.0  # s between two attempts
_START_REPLICATION = SQL("START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {})")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC).timestamp()

log = structlog.get_logger("semo_hub.replication")


class Replication:
    """One stream of inserted rows, opened again whenever it breaks."""

    def __init__(
        self,
        conninfo: str,
        inserted: Callable[[Inserted], None],
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`inserted` is called for every row, in commit order; it must neither block nor raise."""
        self._conninfo = conninfo
        self._inserted = inserted
        self._now = now
        self._monotonic = monotonic
        self._jitter = jitter
        self.streaming = asyncio.Event()

    async def run(self, shutdown: Shutdown) -> None:
        """Stream until `shutdown`. What is sent while the stream is down is lost, as it is on Supabase."""
        failures = 0
        while not shutdown.requested:
            try:
                await self._stream(shutdown)
            except (psycopg.Error, PostgresError, OSError, TimeoutError) as err:
                log.warning("the replication stream broke", error=str(err) or type(err).__name__)
            failures = 0 if self.streaming.is_set() else failures + 1
            self.streaming.clear()
            await shutdown.within(min(_LONGEST_PAUSE, 0.05 * 2.0**failures) * (0.5 + self._jitter() / 2))

    async def _stream(self, shutdown: Shutdown) -> None:
        async with asyncio.timeout(_OPEN_TIMEOUT):
            connection = await psycopg.AsyncConnection.connect(
                psycopg.conninfo.make_conninfo(self._conninfo, replication="database"), autocommit=True
            )
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT):
                await _start(connection)
            self.streaming.set()
            await self._read(connection.pgconn, shutdown)
        finally:
            await connection.close()

    async def _read(self, pgconn: PGconn, shutdown: Shutdown) -> None:
        decoder = Decoder()
        received = 0
        told_at = self._monotonic()
        while not shutdown.requested:
            frames = _take_frames(pgconn)
            reply_wanted = False
            for frame in frames:
                message = read_frame(frame)
                received = max(received, message.end)
                reply_wanted |= isinstance(message, KeepAlive) and message.reply_wanted
                self._handle(decoder, message)
            now = self._monotonic()
            if reply_wanted or now - told_at >= _FEEDBACK_EVERY:
                pgconn.put_copy_data(status_update(received, int((self._now() - _EPOCH) * 1_000_000)))
                pgconn.flush()
                told_at = now
            # A full batch may have left messages in libpq's own buffer, where the socket does not show them.
            await (asyncio.sleep(0) if len(frames) == _BATCH else _readable(pgconn, shutdown, _FEEDBACK_EVERY))

    def _handle(self, decoder: Decoder, message: Changes | KeepAlive) -> None:
        if isinstance(message, Changes):
            fact = decoder.read(message.content)
            if isinstance(fact, Inserted):
                self._inserted(fact)


async def _start(connection: psycopg.AsyncConnection) -> None:
    """A temporary slot goes with the connection: a dead hub never keeps the log from being recycled."""
    slot = Identifier("semo_hub_" + secrets.token_hex(4))
    await connection.execute(
        SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT").format(slot)
    )
    command = _START_REPLICATION.format(slot, Literal(PUBLICATION))
    # psycopg itself has no way to run a command that answers with a stream in both directions.
    connection.pgconn.send_query(command.as_bytes(connection))
    await _flush_and_wait(connection.pgconn)
    result = connection.pgconn.get_result()
    if result is None or result.status != ExecStatus.COPY_BOTH:
        reason = result.get_error_message() if result else "no answer"
        raise PostgresError(f"replication was refused: {reason}")


async def _flush_and_wait(pgconn: PGconn) -> None:
    pgconn.flush()
    while pgconn.is_busy():
        with _watched(pgconn) as readable:
            await readable.wait()
        pgconn.consume_input()


def _take_frames(pgconn: PGconn) -> list[bytes]:
    """What has arrived, at most one batch. Raises PostgresError when the stream has ended."""
    pgconn.consume_input()
    frames: list[bytes] = []
    while len(frames) < _BATCH:
        size, data = pgconn.get_copy_data(1)
        if size == 0:
            break
        if size < 0:
            raise PostgresError("PostgreSQL ended the replication stream")
        frames.append(bytes(data))
    return frames


async def _readable(pgconn: PGconn, shutdown: Shutdown, seconds: float) -> None:
    """Wait until something arrives, the hub stops, or `seconds` have passed."""
    with _watched(pgconn) as readable:
        stopping = asyncio.ensure_future(shutdown.wait())
        arriving = asyncio.ensure_future(readable.wait())
        try:
            await asyncio.wait({stopping, arriving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            arriving.cancel()


@contextmanager
def _watched(pgconn: PGconn) -> Iterator[asyncio.Event]:
    """An event that is set when the socket of the connection has something to read."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pgconn.socket, readable.set)
    try:
        yield readable
    finally:
        loop.remove_reader(pgconn.socket)
