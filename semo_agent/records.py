"""What the agent keeps of each session on disk, so that its next start goes on where this one stopped."""

import os
import tempfile
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from semo_agent.detector import Sighting
from semo_agent.errors import ConfigurationError
from semo_agent.session import Session


class SessionRecord(BaseModel):
    """One session as it was at its last transition. What was typed into it is in the journal.

    `tab_id`: None while its tab was being opened.
    """

    model_config = ConfigDict(frozen=True)

    session_id: UUID
    tab_id: str | None
    profile: str
    mark_id: str | None
    sighting: Sighting


class SessionRecords:
    """`sessions/ID.json` in the agent's folder, 0600. All methods but `keep` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read_all(self) -> dict[UUID, SessionRecord]:
        """By session. Raises ConfigurationError, which names the file and what to do."""
        records = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        return {record.session_id: record for record in records}

    def write(self, record: SessionRecord) -> None:
        """Replace the session's record as a whole."""
        # No fsync: what would lose the file, a crash of the machine, ends the program in the terminal too.
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".new")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(record.model_dump_json())
        Path(name).replace(self._path(record.session_id))

    def remove(self, session_id: UUID) -> None:
        self._path(session_id).unlink(missing_ok=True)

    def _path(self, session_id: UUID) -> Path:
        return self._folder / f"{session_id}.json"


def record_of(session: Session) -> SessionRecord:
    """What is to be kept of a session."""
    return SessionRecord(
        session_id=session.id,
        tab_id=session.tab_id,
        profile=session.profile.name,
        mark_id=session.mark_id,
        sighting=session.sighting,
    )


def _read(path: Path) -> SessionRecord:
    try:
        return SessionRecord.model_validate_json(path.read_bytes())
    except OSError as err:
        raise ConfigurationError(f"{path} can't be read: {err.strerror}.") from err
    except ValidationError as err:
        raise ConfigurationError(
            f"{path} is damaged or of another version. Delete it: its session goes on, and is ready again "
            "after the next Enter in its terminal."
        ) from err
