"""What this host has typed, on disk before it is typed: after any crash nothing is typed a second time.

No text is kept, only which command it was, how far it got, and where its turn is.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from semo_agent.errors import AlreadyTyped, ConfigurationError
from semo_agent.session import Turn

Answer = TypeVar("Answer")

VERSION: Final = 1
BUSY_S: Final = 5.0
_TURN: Final = TypeAdapter(Turn)
_TABLE: Final = """
create table typed (
    command_id text primary key,
    session_id text not null,
    phase text not null check (phase in ('typing', 'entered', 'written')),
    turn text
) strict
"""


class Phase(StrEnum):
    """How far a command got. `typing`: any number of its bytes may have arrived."""

    TYPING = "typing"
    ENTERED = "entered"  # the Enter of a prompt was sent, or was about to be
    WRITTEN = "written"  # typed text that is no prompt


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that was typed, or may have been. `turn`: of a prompt."""

    command_id: UUID
    session_id: UUID
    phase: Phase
    turn: Turn | None = None


class Journal:
    """`journal.sqlite` in the agent's folder, 0600. One thread does its work, in the order of the calls.

    Every call is on disk (fsync) when it returns, but for `forget`, which the next write takes along.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._done: list[UUID] = []
        # Every command in the file, and for a moment some that are not: most that are looked for are not here.
        self._known: set[UUID] = set()
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Raises ConfigurationError when the file is not ours, damaged, or of another version."""
        await self._run(self._open)

    async def close(self) -> None:
        """Again is no error."""
        if self._database is not None:
            await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def begin(self, entry: Entry) -> None:
        """Note that the command is about to be typed. Raises AlreadyTyped when it is here from before."""
        self._known.add(entry.command_id)
        await self._run(lambda: self._insert(entry))

    async def advance(self, entry: Entry) -> None:
        """Note how far a command got that was begun."""
        await self._run(lambda: self._update(entry))

    async def find(self, command_id: UUID) -> Entry | None:
        """None: it was never typed, or the office knows its result."""
        return await self._run(lambda: self._select(command_id)) if command_id in self._known else None

    async def entries(self) -> list[Entry]:
        """All commands whose result the office may not know."""
        return await self._run(self._select_all)

    def forget(self, command_id: UUID) -> None:
        """The office knows the result: a finished command is never handed out again."""
        self._done.append(command_id)

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except (sqlite3.DatabaseError, ValidationError) as err:
            raise ConfigurationError(
                f"{self._path} can't be used ({err}). It says what was typed already: end the sessions of this host, "
                "then delete it."
            ) from err

    def _open(self) -> None:
        if not self._path.exists():
            _make(self._path)
        database = _connect(self._path)
        try:
            _check(database)
        except sqlite3.DatabaseError:
            database.close()
            raise
        self._database = database
        self._known.update(entry.command_id for entry in self._select_all())

    def _close(self) -> None:
        with self._writing():
            pass
        self._living.close()
        self._database = None

    @property
    def _living(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the journal is not open")
        return self._database

    def _insert(self, entry: Entry) -> None:
        with self._writing() as database:
            try:
                database.execute("insert into typed values (?, ?, ?, ?)", _packed(entry))
            except sqlite3.IntegrityError as err:
                raise AlreadyTyped(f"The command {entry.command_id} was typed before.") from err

    def _update(self, entry: Entry) -> None:
        with self._writing() as database:
            command_id, _, phase, turn = _packed(entry)
            database.execute("update typed set phase = ?, turn = ? where command_id = ?", (phase, turn, command_id))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which takes along what may be forgotten."""
        done, self._done = self._done, []
        with self._living as database:
            database.execute("begin immediate")
            database.executemany("delete from typed where command_id = ?", [(str(each),) for each in done])
            yield database
        self._known.difference_update(done)

    def _select(self, command_id: UUID) -> Entry | None:
        if command_id in self._done:
            return None
        row = self._living.execute("select * from typed where command_id = ?", (str(command_id),)).fetchone()
        return _unpacked(*row) if row else None

    def _select_all(self) -> list[Entry]:
        rows = self._living.execute("select * from typed order by rowid").fetchall()
        return [entry for entry in (_unpacked(*row) for row in rows) if entry.command_id not in self._done]


def _make(path: Path) -> None:
    """Whole or not at all: a file of this name without our table is damaged, never a first start."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Before SQLite: its own files inherit these permissions.
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT, 0o600))
    database = _connect(draft)
    try:
        database.execute("pragma journal_mode = wal")
        database.execute(_TABLE)
        database.execute(f"pragma user_version = {VERSION:d}")
    finally:
        database.close()
    draft.replace(path)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def _check(database: sqlite3.Connection) -> None:
    [version] = database.execute("pragma user_version").fetchone()
    if version != VERSION:
        raise sqlite3.DatabaseError(f"version {version} is unknown to this SEMO")
    [found] = database.execute("pragma quick_check").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    database.execute("pragma synchronous = full")


def _packed(entry: Entry) -> tuple[str, str, str, str | None]:
    turn = None if entry.turn is None else _TURN.dump_json(entry.turn).decode()
    return str(entry.command_id), str(entry.session_id), entry.phase.value, turn


def _unpacked(command_id: str, session_id: str, phase: str, turn: str | None) -> Entry:
    read = None if turn is None else _TURN.validate_json(turn)
    return Entry(UUID(command_id), UUID(session_id), Phase(phase), read)
