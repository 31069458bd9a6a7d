"""Migrations on a database of their own, as the non-superuser that Supabase gives."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from semo_hub.errors import MigrationError
from semo_hub.migrations import migrate, read_migrations
from tests.integration.hub_fixture import RunningHub


@pytest.fixture
def database(hub: RunningHub, superuser: psycopg.Connection) -> Iterator[str]:
    """The conninfo of role `postgres` for an empty database."""
    name = f"migrations_{uuid.uuid4().hex}"
    superuser.execute(f"create database {name} owner postgres template template0")
    yield make_conninfo(hub.superuser_conninfo, dbname=name, user="postgres")
    superuser.execute(f"drop database {name} with (force)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "002_second.sql").write_text("alter table public.a add column b int;")
    (tmp_path / "001_first.sql").write_text("create table public.a (id int); insert into public.a values (1);")
    (tmp_path / "notes.txt").write_text("not a migration")
    return tmp_path


def ask(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query.encode()).fetchall()


async def test_files_are_applied_in_order_and_once(database: str, folder: Path) -> None:
    assert await migrate(database, folder) == ["001_first.sql", "002_second.sql"]
    assert await migrate(database, folder) == []
    assert ask(database, "select id, b from public.a") == [(1, None)]


async def test_a_file_that_fails_leaves_nothing_and_is_named(database: str, folder: Path) -> None:
    (folder / "003_third.sql").write_text("create table public.c (id int); select 1 / 0;")
    with pytest.raises(MigrationError, match=r"^003_third\.sql cannot be applied and was rolled back: division"):
        await migrate(database, folder)
    assert ask(database, "select to_regclass('public.c')") == [(None,)]
    assert ask(database, "select count(*) from public.semo_migrations") == [(2,)]


async def test_a_changed_file_is_refused_and_nothing_is_applied(database: str, folder: Path) -> None:
    await migrate(database, folder)
    (folder / "001_first.sql").write_text("create table public.other (id int);")
    (folder / "003_third.sql").write_text("create table public.c (id int);")
    with pytest.raises(MigrationError, match=r"^001_first\.sql was changed"):
        await migrate(database, folder)
    assert ask(database, "select to_regclass('public.c')") == [(None,)]


async def test_two_migrators_at_once_apply_each_file_once(database: str, folder: Path) -> None:
    applied = await asyncio.gather(*[migrate(database, folder) for _ in range(4)])
    assert sorted(name for names in applied for name in names) == ["001_first.sql", "002_second.sql"]


async def test_two_files_with_one_number_are_refused(folder: Path) -> None:
    (folder / "001_other.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match="more than one file numbered 001"):
        read_migrations(folder)


async def test_a_database_that_cannot_be_reached_is_one_sentence(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MigrationError, match="cannot be reached"):
        await migrate(make_conninfo(host=str(tmp_path), user="postgres", dbname="postgres"), folder)
