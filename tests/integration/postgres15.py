"""PostgreSQL 15, the oldest that Supabase hosts, made to look like Supabase as the hub does with its own."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from semo_hub import unprivileged
from semo_hub.bootstrap import bootstrap
from semo_hub.migrations import find_sql_folder, migrate
from semo_hub.postgres import DATABASE, SUPERUSER

PROGRAMS = os.environ.get("SEMO_TEST_POSTGRES15")
"""The folder of its programs; without it the tests run on the hub's PostgreSQL alone."""

DEADLINE_S = 30.0
SETTINGS = {
    "listen_addresses": "",
    "wal_level": "logical",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    # Nothing here is to outlive the test.
    "fsync": "off",
}


@contextmanager
def running_postgres15(programs: Path) -> Iterator[str]:
    """Its superuser's conninfo, while the block runs, with SEMO's own SQL applied by role `postgres`."""
    # Not pytest's own folder: its path is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="semo-pg15-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    initdb = [str(programs / "initdb"), f"--pgdata={folder / 'data'}", f"--username={SUPERUSER}", "--auth=trust"]
    subprocess.run(
        _unprivileged(*initdb, "--encoding=UTF8", "--locale=C", "--no-sync"), check=True, capture_output=True
    )
    try:
        with _serving(programs, folder) as conninfo:
            asyncio.run(_prepare(conninfo))
            yield conninfo
    finally:
        shutil.rmtree(folder)


@contextmanager
def _serving(programs: Path, folder: Path) -> Iterator[str]:
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    argv = [str(programs / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *settings]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_unprivileged(*argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        conninfo = make_conninfo(host=str(folder), port=5432, user=SUPERUSER, dbname=DATABASE)
        _wait_until_it_answers(conninfo, process, folder / "log")
        yield conninfo
    finally:
        # Nothing is to be kept: the quickest way out.
        process.send_signal(signal.SIGQUIT)
        process.wait(DEADLINE_S)


def _wait_until_it_answers(conninfo: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            with psycopg.connect(conninfo) as connection:
                assert connection.info.server_version // 10_000 == 15
                return
        except psycopg.OperationalError as err:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, err
            time.sleep(0.01)


async def _prepare(superuser: str) -> None:
    await bootstrap(superuser)
    await migrate(make_conninfo(superuser, user="postgres"), find_sql_folder())


def _unprivileged(*argv: str) -> list[str]:
    launcher = [sys.executable, "-I", "-S", str(unprivileged.__file__), "--parent", str(os.getpid()), "--as-nobody"]
    return [*launcher, "--", *argv]
