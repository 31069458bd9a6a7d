"""A PostgreSQL whose hub was killed on a system that does not end it."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from semo_console.cli.actions.leftover import find_postmaster, stop_left_over_postgres
from semo_hub.postgres import Postgres
from semo_office.locations import StateFolder


@pytest.fixture
def state() -> Iterator[StateFolder]:
    # Not pytest's own folder: its path is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="semo-left-"))
    yield StateFolder(folder).prepare()
    shutil.rmtree(folder)


async def test_it_is_stopped_only_when_no_hub_runs(state: StateFolder) -> None:
    postgres = Postgres(state.path / "postgres")
    await postgres.start()
    try:
        with (state.hub / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stop_left_over_postgres(state)
            assert find_postmaster(state) == postgres.pid
        stop_left_over_postgres(state)
        assert find_postmaster(state) is None
    finally:
        await postgres.stop()


def test_without_data_there_is_nothing_to_stop(state: StateFolder) -> None:
    stop_left_over_postgres(state)
    assert find_postmaster(state) is None
