"""The web server, on the loop of the process that it is a part of."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import structlog
import uvicorn

from semo_office.api.address import Listener, listening, url_of
from semo_office.api.app import make_app
from semo_office.api.callers import Callers
from semo_office.api.desk import KEEP_S, Service
from semo_office.config import CredentialsFile
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.stopping import Stop, Tasks

HEADERS_MAX: Final = 64 * 1024
IDLE_S: Final = 75
LAST_ANSWERS_S: Final = 2
SETTLE_S: Final = 5.0

_log = structlog.get_logger(__name__)


class ApiServer:
    """The API of one process: `open` it, `run` it. Errors of its parts stop the process."""

    def __init__(
        self,
        wanted: Listener,
        listener: socket.socket,
        source: CredentialsFile,
        clock: Callable[[], float],
        keep_s: float,
    ) -> None:
        self.url = url_of(wanted, listener)
        self._wanted = wanted
        self._listener = listener
        self._source = source
        self._clock = clock
        self._keep_s = keep_s

    @classmethod
    @contextmanager
    def open(
        cls, state: StateFolder, wanted: Listener, clock: Callable[[], float], *, keep_s: float = KEEP_S
    ) -> "Iterator[ApiServer]":
        """Listen from now on; what comes waits until it runs. keep_s: as in `Service`. Raises ConfigurationError."""
        with listening(wanted, state.process_record("api")) as listener:
            yield cls(wanted, listener, CredentialsFile(state, "server"), clock, keep_s)

    async def run(self, link: Link, stop: Stop) -> None:
        """Answer until the stop. `link`: the server's own, which tells how well the office is reached."""
        web, links, unused = Tasks(stop), Tasks(stop), Stop()
        callers = Callers(self._source, links, self._clock)
        service = Service(callers, lambda: link.status, stop, self._keep_s)
        server = _WebServer(_config(make_app(service, self._wanted.names)))
        links.start("callers of the API", callers.keep_few(unused))
        web.start("web server of the API", server.serve([self._listener]))
        _log.info("api_listens", url=self.url)
        await stop.wait()
        server.should_exit = True
        await web.settle(SETTLE_S)
        unused.set()
        await links.settle(SETTLE_S)
        for tasks in (web, links):
            if tasks.failure is not None:
                raise tasks.failure


class _WebServer(uvicorn.Server):
    """uvicorn that leaves signals to the process."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]  # any context manager will do
        return nullcontext()


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        # The other parser has no limit for headers.
        http="h11",
        h11_max_incomplete_event_size=HEADERS_MAX,
        ws="none",
        # Longer than clients keep an idle connection: they must be the ones to close it.
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
        access_log=False,
        log_config=None,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
    )
