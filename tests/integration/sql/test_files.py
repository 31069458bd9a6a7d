"""The SQL files on an empty database, as the non-superuser that Supabase gives."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from semo_hub.bootstrap import bootstrap
from semo_hub.migrations import find_sql_folder, migrate, read_migrations


@pytest.fixture
def empty_database(sql_conninfo: str) -> Iterator[str]:
    """The superuser's conninfo of it."""
    name = f"files_{uuid.uuid4().hex}"
    with psycopg.connect(sql_conninfo, autocommit=True) as superuser:
        superuser.execute(f"create database {name} owner postgres template template0")
        yield make_conninfo(sql_conninfo, dbname=name)
        superuser.execute(f"drop database {name} with (force)")


async def test_every_file_is_applied_once(empty_database: str) -> None:
    await bootstrap(empty_database)
    as_postgres = make_conninfo(empty_database, user="postgres")
    every = [migration.name for migration in read_migrations(find_sql_folder())]
    assert await migrate(as_postgres, find_sql_folder()) == every
    assert await migrate(as_postgres, find_sql_folder()) == []
