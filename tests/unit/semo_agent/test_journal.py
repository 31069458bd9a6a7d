"""What was typed stays known over a restart."""

import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from semo_agent.errors import AlreadyTyped, ConfigurationError
from semo_agent.journal import Entry, Journal, Phase
from semo_agent.office import Claim
from semo_agent.session import Turn
from semo_agent.terminals.base import Position


def entry(phase: Phase = Phase.TYPING) -> Entry:
    claim = Claim(uuid4(), uuid4())
    turn = Turn(claim, number=3, text_bytes=5, bracketed=True, echo_ends=Position(1, 2, 3), limit_ms=1000)
    return Entry(claim.command_id, uuid4(), phase, turn)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = Journal(path)
    await opened.open()
    yield opened
    await opened.close()


async def test_what_was_begun_is_there_for_the_next_process(journal: Journal, path: Path) -> None:
    typed = entry()
    await journal.begin(typed)
    # Not closed: the first process was killed.
    later = Journal(path)
    await later.open()
    assert await later.entries() == [typed]
    assert await later.find(typed.command_id) == typed
    await later.close()


async def test_a_command_is_begun_once(journal: Journal) -> None:
    typed = entry()
    await journal.begin(typed)
    with pytest.raises(AlreadyTyped):
        await journal.begin(replace(typed, session_id=uuid4()))
    assert await journal.find(typed.command_id) == typed


async def test_a_step_forward_is_kept(journal: Journal) -> None:
    typed = entry()
    await journal.begin(typed)
    entered = replace(typed, phase=Phase.ENTERED)
    await journal.advance(entered)
    assert await journal.find(typed.command_id) == entered


async def test_a_text_has_no_turn(journal: Journal) -> None:
    text = Entry(uuid4(), uuid4(), Phase.TYPING)
    await journal.begin(text)
    assert await journal.find(text.command_id) == text


async def test_what_the_office_knows_is_forgotten_with_the_next_write(journal: Journal, path: Path) -> None:
    first, second = entry(), entry()
    await journal.begin(first)
    journal.forget(first.command_id)
    assert await journal.find(first.command_id) is None
    assert await journal.entries() == []
    await journal.begin(second)
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from typed").fetchone() == (1,)
    database.close()


async def test_what_was_to_be_forgotten_is_gone_after_a_stop(path: Path) -> None:
    typed = entry()
    first = Journal(path)
    await first.open()
    await first.begin(typed)
    first.forget(typed.command_id)
    await first.close()
    later = Journal(path)
    await later.open()
    assert await later.entries() == []
    await later.close()


async def test_nobody_else_can_read_it(journal: Journal, path: Path) -> None:
    await journal.begin(entry())
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def another_file(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def another_version(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("pragma user_version = 99")
    database.close()


def an_empty_file(path: Path) -> None:
    path.touch()


def another_database(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("create table other (id integer)")
    database.close()


@pytest.mark.parametrize("damage", [another_file, another_version, an_empty_file, another_database])
async def test_a_file_that_is_not_ours_is_refused_and_left_alone(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    before = path.read_bytes()  # noqa: ASYNC240 - a few bytes of a test's own
    journal = Journal(path)
    with pytest.raises(ConfigurationError, match=r"journal\.sqlite can't be used .* then delete it"):
        await journal.open()
    await journal.close()
    assert path.read_bytes() == before  # noqa: ASYNC240 - as above


async def test_no_text_of_a_prompt_is_kept() -> None:
    assert not {"text", "prompt"} & set(Turn.__dataclass_fields__)
