"""The hub as one process: PostgreSQL below, the gateway above, and the order in which they start and stop."""

import asyncio
import errno
import fcntl
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn

from semo_hub.auth import Authority, Keys
from semo_hub.bootstrap import bootstrap
from semo_hub.catalog import Catalog
from semo_hub.database import Database
from semo_hub.errors import AlreadyRunning, HubError, PortInUse, StateFolderError
from semo_hub.gateway import Gateway
from semo_hub.identities import Credentials, Identities
from semo_hub.migrations import find_sql_folder, migrate
from semo_hub.postgres import SUPERUSER, Postgres
from semo_hub.private_files import make_private_folder, write_json
from semo_hub.realtime import Realtime
from semo_hub.replication import Replication
from semo_hub.shutdown import Shutdown

HOST = "127.0.0.1"
DEFAULT_PORT = 54321

_START_DEADLINE = 40.0  # s from the migrations to the first connection
_MAX_MESSAGE = 1024 * 1024  # bytes in one WebSocket message

log = structlog.get_logger("semo_hub")


@dataclass(frozen=True)
class Serving:
    """A hub that serves."""

    url: str
    keys: Keys
    authority: Authority
    identities: Identities
    postgres: Postgres


class WebServer(uvicorn.Server):
    """uvicorn that leaves signals to the hub and says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override] # any context manager will do
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


async def serve(
    state_dir: Path,
    port: int,
    shutdown: Shutdown,
    *,
    sql_dir: Path | None = None,
    ready: Callable[[Serving], None] = lambda _serving: None,
    now: Callable[[], float] = time.time,
) -> None:
    """Run a hub until `shutdown`; `ready` is called once it serves. Port 0 picks a free one.

    Raises HubError when it can't start, or when a part of it fails.
    """
    folder = make_private_folder(make_private_folder(state_dir) / "hub")
    async with AsyncExitStack() as stack:
        stack.enter_context(_locked(folder / "lock"))
        listener = stack.enter_context(_listening(port))
        keys = Keys.load(folder / "keys.json")
        identities = Identities.load(folder / "identities.json")
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        authority = Authority(keys, f"{url}/auth/v1", now=now)
        credentials = Credentials(state_dir / "credentials", url, keys, authority, identities, now=now)
        credentials.check()
        postgres = Postgres(state_dir / "postgres")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        await _prepare(postgres, identities, sql_dir or find_sql_folder())
        database = Database(postgres.conninfo("authenticator"), postgres.conninfo(SUPERUSER), Catalog())
        stack.push_async_callback(database.close)
        await database.open()
        credentials.write()
        realtime = Realtime(database, authority, now=now)
        replication = Replication(postgres.conninfo(SUPERUSER), realtime.deliver_stored, now=now)
        server = WebServer(_web_config(Gateway(database, authority, realtime)))
        async with _parts() as part:
            part(postgres.keep_running(shutdown, database.recover), name="postgres")
            part(replication.run(shutdown), name="replication")
            part(credentials.keep_fresh(shutdown), name="credentials")
            part(realtime.prune(shutdown), name="messages")
            part(server.serve([listener]), name="gateway")
            await _started(replication.streaming, server.accepting)
            with _announced(state_dir / "run", url, now):
                ready(Serving(url, keys, authority, identities, postgres))
                log.info("serving", url=url)
                await shutdown.wait()
            server.should_exit = True
    log.info("stopped")


@asynccontextmanager
async def _parts() -> AsyncIterator[Callable[..., object]]:
    """Start the parts of the hub as tasks; the first that fails ends all of them, with its own error."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group.create_task
    except BaseExceptionGroup as group_error:
        raise _first_leaf(group_error) from group_error


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first


async def _started(*signs: asyncio.Event) -> None:
    """Raises HubError when one of them does not come."""
    try:
        async with asyncio.timeout(_START_DEADLINE):
            for sign in signs:
                await sign.wait()
    except TimeoutError as err:
        raise HubError(f"the hub did not start within {_START_DEADLINE:.0f} s: look at its log.") from err


async def _prepare(postgres: Postgres, identities: Identities, sql_dir: Path) -> None:
    """Migrations run as `postgres`, no superuser: what that may not do, it may not do on Supabase either."""
    await bootstrap(postgres.conninfo(SUPERUSER))
    await identities.register(postgres.conninfo(SUPERUSER))
    await migrate(postgres.conninfo("postgres"), sql_dir)


def _web_config(gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.app(),
        # Longer than clients keep an idle connection: they must be the ones to close it.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
        ws_max_size=_MAX_MESSAGE,
        # Loopback is faster than any compression.
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the state folder; the kernel lets go of it however we end. Raises AlreadyRunning."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as err:
        raise StateFolderError(f"{path} cannot be opened ({err.strerror}): fix its permissions.") from err
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise AlreadyRunning(
                f"another hub uses {path.parent.parent} already: stop it, or choose another --state-dir."
            ) from err
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket bound to loopback and to nothing else. Raises PortInUse."""
    # asyncio turns Nagle's algorithm off only where the protocol is named: it costs 40 ms a request.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(1)
        except OSError as err:
            if err.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {port} is in use: stop the program that listens there, or use --port.") from err
            raise HubError(f"port {port} cannot be used ({err.strerror}): choose another with --port.") from err
        except OverflowError as err:
            raise HubError(f"port {port} does not exist: choose one up to 65535 with --port.") from err
        yield listener


@contextmanager
def _announced(folder: Path, url: str, now: Callable[[], float]) -> Iterator[None]:
    """While the hub serves, `hub.json` says where."""
    path = make_private_folder(folder) / "hub.json"
    write_json(path, {"pid": os.getpid(), "url": url, "started_at": int(now())})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
