"""The office server: one process that leads, or stands by for, every office that admits it."""

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID, uuid4

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict

from semo_office.config import CredentialsFile
from semo_office.controller import Controller
from semo_office.errors import ConfigurationError, LinkError
from semo_office.link import Link
from semo_office.locations import StateFolder, write_json
from semo_office.offices import OfficeStore
from semo_office.stopping import Stop, Tasks, rings

LOOK_S: Final = 5.0
SETTLE_S: Final = 10.0
DRAIN_S: Final = 5.0

_log = structlog.get_logger(__name__)


class ServerRecord(BaseModel):
    """`run/server.json`: there while the server knows its offices. `leads`: those that it leads now."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started_at: AwareDatetime
    instance_id: UUID
    link: str
    url: str
    """Where its API is."""
    leads: tuple[UUID, ...] = ()


class Api(Protocol):
    """What answers callers beside the controllers. `url`: where."""

    @property
    def url(self) -> str: ...

    async def run(self, link: Link, stop: Stop) -> None:
        """Until the stop. `link`: the server's own."""


def run_server(state: StateFolder, open_api: Callable[[], AbstractContextManager[Api]]) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP: look for new offices now. state: prepared.

    Raises OfficeError, one sentence, when it can't run.
    """
    with only_server(state.run), open_api() as api:
        asyncio.run(_serve(state, api))


async def _serve(state: StateFolder, api: Api) -> None:
    credentials = CredentialsFile(state, "server")
    user_id = UUID((await asyncio.to_thread(credentials)).user_id)
    server = Server(state, await Link.open(credentials), user_id, api)
    loop = asyncio.get_running_loop()
    for number, act in ((signal.SIGTERM, server.stop), (signal.SIGINT, server.stop), (signal.SIGHUP, server.look)):
        loop.add_signal_handler(number, act)
    await server.run()


class Server:
    """All parts of one server process; it closes the link at its end."""

    def __init__(self, state: StateFolder, link: Link, user_id: UUID, api: Api) -> None:
        self._path = state.process_record("server")
        self._link = link
        self._user_id = user_id
        self._api = api
        self._stop = Stop()
        self._work, self._link_watch = Tasks(self._stop), Tasks(self._stop)
        self._offices = OfficeStore(link)
        self._controllers: dict[UUID, Controller] = {}
        self._bell, self._changed = asyncio.Event(), asyncio.Event()
        self._stop.then(self._bell.set)
        self._stop.then(self._changed.set)
        self._record = ServerRecord(
            pid=os.getpid(),
            started_at=datetime.now(UTC),
            instance_id=uuid4(),
            link=link.status.state,
            url=api.url,
        )

    def stop(self) -> None:
        """Begin nothing more; `run` returns soon. What runs in sessions goes on."""
        self._stop.set()

    def look(self) -> None:
        """There may be an office that is new."""
        self._bell.set()

    async def run(self) -> None:
        """Serve until the stop. Raises what ended a part of it early."""
        self._link_watch.start("link", self._link.wait_closed())
        try:
            self._work.start("api", self._api.run(self._link, self._stop))
            self._work.start("offices", self._find_offices())
            await self._stop.wait()
            await self._work.settle(SETTLE_S)
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        finally:
            await self._link.close()
            await self._link_watch.settle(DRAIN_S)
        for tasks in (self._work, self._link_watch):
            if tasks.failure is not None:
                raise tasks.failure
        _log.info("stopped")

    async def _find_offices(self) -> None:
        announced = False
        while not self._stop:
            try:
                office_ids = await self._offices.offices_of_server(self._user_id)
            except LinkError as err:
                _log.warning("offices_not_read", error=type(err).__name__)
            else:
                self._serve(office_ids)
                if not announced:
                    announced = True
                    self._work.start("process record", self._announce())
            await rings(self._bell, LOOK_S)

    def _serve(self, office_ids: list[UUID]) -> None:
        for office_id in office_ids:
            if office_id not in self._controllers:
                controller = Controller(
                    self._link,
                    office_id,
                    self._record.instance_id,
                    profiles=self._offices,
                    stop=self._stop,
                    clock=time.monotonic,
                    note=self._changed.set,
                )
                self._controllers[office_id] = controller
                self._work.start(f"office {office_id}", self._run(office_id, controller))

    async def _run(self, office_id: UUID, controller: Controller) -> None:
        await controller.run()
        del self._controllers[office_id]

    async def _announce(self) -> None:
        """Say in `run/server.json` that the server is there, how well it reaches the office, and what it leads."""
        no_longer = self._link.on_status(lambda _status: self._changed.set())
        while not self._stop:
            self._changed.clear()
            leads = tuple(office_id for office_id, controller in self._controllers.items() if controller.leads)
            record = self._record.model_copy(update={"link": self._link.status.state, "leads": leads})
            await asyncio.to_thread(write_json, self._path, record)
            await self._changed.wait()
        no_longer()


@contextmanager
def only_server(folder: Path) -> Iterator[None]:
    """Hold the lock of this state folder's server. Raises ConfigurationError when another process holds it."""
    lock = folder / "server.lock"
    with lock.open("a") as file:
        lock.chmod(0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            sentence = f"A server runs for {folder.parent} already. `semo status` shows it, `semo down` stops it."
            raise ConfigurationError(sentence) from err
        yield
