"""One hub with SEMO's own SQL for all integration tests of a process; each test makes an office of its own in it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from tests.integration.hub_fixture import RunningHub, end_hub, start_hub


@pytest.fixture(scope="session")
def semo_hub() -> Iterator[RunningHub]:
    # Not pytest's own folder: its path is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="semo-hub-"))
    hub = start_hub(folder)
    yield hub
    end_hub(hub)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def superuser_conninfo(semo_hub: RunningHub) -> str:
    return semo_hub.superuser_conninfo


@pytest.fixture(scope="module")
def superuser(superuser_conninfo: str) -> Iterator[Connection[DictRow]]:
    with psycopg.connect(superuser_conninfo, row_factory=dict_row, autocommit=True) as connection:
        yield connection
