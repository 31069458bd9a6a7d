"""Two job queues on PostgreSQL, for comparison: the same no-op on the same server, each in a database of its own.

Their clients and workers share this process, and a job counts as done when its function has run: writing down its end
is not waited for. Both are in their favour.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Self
from uuid import uuid4

import pgqueuer
import procrastinate
import psycopg
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from procrastinate.types import JSONValue
from psycopg import sql
from psycopg.conninfo import make_conninfo

DEADLINE_S = 30.0
AT_ONCE = 20
"""Jobs that a worker runs at the same time, and the size of its batches."""

CONNECTIONS = 8
"""Of procrastinate's pool: the hub's PostgreSQL has 40 for all."""

TASK = "noop"


@dataclass(frozen=True)
class Peer:
    """`run`: one job, from putting it in to its function's end. `claim_all`: how many so many waiting ones gave."""

    name: str
    run: Callable[[], Awaitable[None]]
    claim_all: Callable[[int], Awaitable["Claims"]]


@dataclass(frozen=True)
class Claims:
    count: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.count / self.seconds


class Ends:
    """Who waits for the end of which job."""

    def __init__(self) -> None:
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def expect(self) -> tuple[int, asyncio.Future[None]]:
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        return number, future

    def note(self, number: int) -> None:
        self._waiting.pop(number).set_result(None)


@asynccontextmanager
async def procrastinate_peer(superuser: str) -> AsyncIterator[Peer]:
    """Its worker runs until the block ends."""
    async with _database(superuser, "bench_procrastinate") as conninfo:
        connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=4, max_size=CONNECTIONS)
        app, ends = procrastinate.App(connector=connector), Ends()

        @app.task(name=TASK)
        async def noop(number: int) -> None:
            ends.note(number)

        @app.task(name="claimed", queue="claims")
        async def claimed(number: int) -> None:
            raise AssertionError(number)

        async def run() -> None:
            number, end = ends.expect()
            await noop.defer_async(number=number)
            async with asyncio.timeout(DEADLINE_S):
                await end

        async def claim_all(wanted: int) -> Claims:
            jobs: list[dict[str, JSONValue]] = [{"number": number} for number in range(wanted)]
            await claimed.batch_defer_async(*jobs)
            worker = await app.job_manager.register_worker()

            async def claim() -> int:
                return int(await app.job_manager.fetch_job(["claims"], worker) is not None)

            return await _timed_claims(claim, wanted)

        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            working = asyncio.create_task(
                app.run_worker_async(queues=["default"], concurrency=AT_ONCE, install_signal_handlers=False),
                name="procrastinate",
            )
            async with _until_the_end(working):
                yield Peer("procrastinate", run, claim_all)


@asynccontextmanager
async def pgqueuer_peer(superuser: str) -> AsyncIterator[Peer]:
    """Its worker runs until the block ends."""
    async with (
        _database(superuser, "bench_pgqueuer") as conninfo,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as of_worker,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as of_listener,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as of_client,
    ):
        queries = pgqueuer.Queries(pgqueuer.PsycopgDriver(of_client))
        await queries.install()
        driver = _ListeningApart(of_worker, pgqueuer.PsycopgDriver(of_listener))
        manager, ends = pgqueuer.QueueManager(pgqueuer.Queries(driver)), Ends()

        @manager.entrypoint(TASK)
        async def noop(job: pgqueuer.Job) -> None:
            ends.note(int(job.payload or b""))

        async def run() -> None:
            number, end = ends.expect()
            await queries.enqueue(TASK, str(number).encode())
            async with asyncio.timeout(DEADLINE_S):
                await end

        async def claim_all(wanted: int) -> Claims:
            await queries.enqueue(["claims"] * wanted, [None] * wanted, [0] * wanted)
            to_claim = {QueueEntrypoint("claims"): EntrypointExecutionParameter(concurrency_limit=0)}

            async def claim() -> int:
                worker = QueueManagerId(uuid4())
                return len(await queries.dequeue(AT_ONCE, to_claim, worker, None, timedelta(seconds=DEADLINE_S)))

            return await _timed_claims(claim, wanted)

        working = asyncio.create_task(manager.run(batch_size=AT_ONCE), name="pgqueuer")
        async with _until_the_end(working):
            yield Peer("pgqueuer", run, claim_all)
            manager.shutdown.set()
            await working


class _ListeningApart(pgqueuer.PsycopgDriver):
    """On one connection its wait for news holds up every query, for as long as a second."""

    def __init__(self, connection: psycopg.AsyncConnection, ears: pgqueuer.PsycopgDriver) -> None:
        super().__init__(connection)
        self._ears = ears

    async def add_listener(self, channel: str, callback: Callable[[str | bytes | bytearray], None]) -> None:
        await self._ears.add_listener(channel, callback)

    async def remove_listener(self, channel: str, callback: Callable[[str | bytes | bytearray], None]) -> None:
        await self._ears.remove_listener(channel, callback)

    async def __aenter__(self) -> Self:
        await self._ears.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self._ears.__aexit__(*error)


async def _timed_claims(claim: Callable[[], Awaitable[int]], wanted: int) -> Claims:
    loop = asyncio.get_running_loop()
    began, claimed = loop.time(), 0
    while claimed < wanted:
        some = await claim()
        assert some, f"{claimed} of {wanted} were handed out"
        claimed += some
    return Claims(claimed, loop.time() - began)


@asynccontextmanager
async def _until_the_end(working: "asyncio.Task[None]") -> AsyncIterator[None]:
    """The worker runs while the block does, and its own failure is told."""
    try:
        yield
        assert not working.done() or working.exception() is None, working
    finally:
        working.cancel()
        await asyncio.wait({working})


@asynccontextmanager
async def _database(superuser: str, name: str) -> AsyncIterator[str]:
    async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as connection:
        await connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(superuser, dbname=name)
        finally:
            await connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
