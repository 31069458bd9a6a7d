"""Applies `sql/NNN_name.sql` in order, each once, and refuses a file that was changed afterwards."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
import structlog

from semo_hub.errors import MigrationError

_NAME = re.compile(r"\d{3}_[A-Za-z0-9_]+\.sql")
_LOCK = 0x53454D4F  # "SEMO"; the same number for every migrator of one database
_LOCK_TIMEOUT_MS = 30_000
_STATEMENT_TIMEOUT_MS = 120_000

_CREATE_RECORD = """
create table if not exists public.semo_migrations (
  name text primary key,
  sha256 text not null,
  applied_at timestamptz not null default now()
);
alter table public.semo_migrations enable row level security;
revoke all on public.semo_migrations from public, anon, authenticated, service_role;
"""

log = structlog.get_logger("semo_hub.migrations")


@dataclass(frozen=True)
class Migration:
    """One SQL file: its name, and its text as the bytes that are hashed and run."""

    name: str
    script: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.script).hexdigest()


def find_sql_folder() -> Path:
    """`semo_hub/sql` of a wheel, else `sql` of a checkout. Raises MigrationError when neither exists."""
    package = Path(__file__).resolve().parent
    for folder in (package / "sql", package.parent / "sql"):
        if folder.is_dir():
            return folder
    raise MigrationError(f"the SQL files of SEMO are missing beside {package}: install SEMO again.")


def read_migrations(folder: Path) -> list[Migration]:
    """Every migration in `folder`, in order. Raises MigrationError when two have the same number."""
    paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    numbers = [path.name[:3] for path in paths]
    for number in numbers:
        if numbers.count(number) > 1:
            raise MigrationError(f"{folder} holds more than one file numbered {number}: rename all but one.")
    return [Migration(path.name, path.read_bytes()) for path in paths]


async def migrate(conninfo: str, folder: Path) -> list[str]:
    """Apply what is missing as the user of `conninfo`, one transaction a file; the names that were applied.

    Two migrators wait for one another. Raises MigrationError; files applied before it stay applied.
    """
    migrations = read_migrations(folder)
    try:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            return [migration.name for migration in migrations if await _apply_once(connection, migration, migrations)]
    except psycopg.OperationalError as err:
        raise MigrationError(f"the database cannot be reached or is busy: {err}") from err


async def _apply_once(connection: psycopg.AsyncConnection, migration: Migration, every: list[Migration]) -> bool:
    async with connection.transaction():
        # A lock of the transaction, not of the session: it also holds behind a pooler in transaction mode.
        await connection.execute(
            "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
            " set_config('client_min_messages', 'warning', true)",
            [str(_LOCK_TIMEOUT_MS), str(_STATEMENT_TIMEOUT_MS)],
        )
        await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        recorded = await _read_record(connection)
        _refuse_changed(every, recorded)
        if migration.name in recorded:
            return False
        await _run(connection, migration)
    log.info("applied a migration", name=migration.name)
    return True


async def _read_record(connection: psycopg.AsyncConnection) -> dict[str, str]:
    """sha256 by name of what was applied. The table is only made when missing: making it locks it."""
    cursor = await connection.execute("select to_regclass('public.semo_migrations') is not null")
    if (await cursor.fetchone()) != (True,):
        await connection.execute(_CREATE_RECORD)
    cursor = await connection.execute("select name, sha256 from public.semo_migrations")
    return dict(await cursor.fetchall())


def _refuse_changed(migrations: list[Migration], recorded: dict[str, str]) -> None:
    for migration in migrations:
        if recorded.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.name} was changed after it had been applied to this database: restore it, "
                "and put the change into a file with the next number."
            )


async def _run(connection: psycopg.AsyncConnection, migration: Migration) -> None:
    try:
        await connection.execute(migration.script)
    except psycopg.Error as err:
        raise MigrationError(f"{migration.name} cannot be applied and was rolled back: {err}") from err
    await connection.execute(
        "insert into public.semo_migrations (name, sha256) values (%s, %s)",
        [migration.name, migration.sha256],
    )
