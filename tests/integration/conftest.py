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
from tests.integration.postgres15 import PROGRAMS, running_postgres15


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


@pytest.fixture(scope="session")
def postgres15_conninfo() -> Iterator[str]:
    assert PROGRAMS is not None
    with running_postgres15(Path(PROGRAMS)) as conninfo:
        yield conninfo


@pytest.fixture(scope="session", params=["pg18", "pg15"] if PROGRAMS else ["pg18"])
def sql_conninfo(request: pytest.FixtureRequest) -> str:
    """The superuser's way into a database with SEMO's own SQL: the hub's, and the oldest where there is one."""
    name = {"pg18": "superuser_conninfo", "pg15": "postgres15_conninfo"}[request.param]
    conninfo: str = request.getfixturevalue(name)
    return conninfo


@pytest.fixture(scope="module")
def superuser(superuser_conninfo: str) -> Iterator[Connection[DictRow]]:
    with psycopg.connect(superuser_conninfo, row_factory=dict_row, autocommit=True) as connection:
        yield connection
