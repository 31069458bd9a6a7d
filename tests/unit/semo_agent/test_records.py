"""What is kept of sessions on disk."""

import stat
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from semo_agent.detector import Sighting, TurnFacts
from semo_agent.errors import ConfigurationError
from semo_agent.records import SessionRecord, SessionRecords
from semo_agent.terminals.base import ExitStatus, Position
from semo_office.models import SessionStatus

FACTS = TurnFacts(number=1, from_mark="C", began=1.5, output_begins=Position(0, 1), exit_status=3)
RECORD = SessionRecord(
    session_id=uuid4(),
    tab_id="7",
    profile="shell",
    mark_id="abc",
    sighting=Sighting(
        status=SessionStatus.EXECUTING, composer=Position(1, 2, 3), turn=FACTS, begun=1, finished=(FACTS,),
        exit=ExitStatus(code=1),
    ),
)  # fmt: skip


@pytest.fixture
def records(tmp_path: Path) -> SessionRecords:
    found = SessionRecords(tmp_path / "sessions")
    found.prepare()
    return found


def test_a_record_comes_back_as_it_was(records: SessionRecords) -> None:
    records.write(RECORD)
    assert records.read_all() == {RECORD.session_id: RECORD}


def test_the_last_record_counts(records: SessionRecords) -> None:
    records.write(RECORD)
    later = RECORD.model_copy(update={"sighting": replace(RECORD.sighting, begun=2)})
    records.write(later)
    assert records.read_all() == {RECORD.session_id: later}


def test_records_are_private(records: SessionRecords, tmp_path: Path) -> None:
    records.write(RECORD)
    (path,) = (tmp_path / "sessions").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_removed_record_is_gone(records: SessionRecords) -> None:
    records.write(RECORD)
    records.remove(RECORD.session_id)
    records.remove(RECORD.session_id)
    assert records.read_all() == {}


def test_a_damaged_record_is_named(records: SessionRecords, tmp_path: Path) -> None:
    path = tmp_path / "sessions" / "x.json"
    path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"x\.json is damaged.*Delete it"):
        records.read_all()
