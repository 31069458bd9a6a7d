"""An office that a test makes up: sessions, output, a wire that keeps what it is told. The clock stands still."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from uuid import UUID

from semo_console.app import ConsoleApp
from semo_console.commands.keymap import Keymap, build_keymap
from semo_console.state import news
from semo_console.state.console import Change, ConsoleState
from semo_console.state.effects import Effect
from semo_console.state.memory import Memory, restore
from semo_console.state.output import Output
from semo_office.models import Office, SessionInfo, SessionStatus

NOW = datetime(2026, 3, 2, 14, 2, 11, tzinfo=UTC)
OFFICE = Office(id=UUID(int=1), name="shop-api", repo_path="~/src/shop", version=1)
OTHER_OFFICE = Office(id=UUID(int=2), name="shop-web", repo_path="~/src/web", version=1)


def session(
    number: int,
    role: str = "BE",
    status: SessionStatus = SessionStatus.READY,
    *,
    minutes: int = 5,
    reason: str | None = None,
    office: Office = OFFICE,
    version: int = 1,
    source: str = "osc133",
) -> SessionInfo:
    """Session `number`, whose status is so many minutes old."""
    since = NOW - timedelta(minutes=minutes)
    return SessionInfo(
        session_id=UUID(int=(number * 0x3F2A_91C7_0000_0000_0000_0000_0000_0001) % 2**128),
        office_id=office.id,
        host_id=UUID(int=7),
        role=role,
        profile="shell",
        cwd="/home/ana/src/shop",
        status=status,
        status_source=source,
        status_as_of=since,
        reason=reason,
        created_at=NOW - timedelta(hours=3, seconds=-number),
        last_activity_at=since,
        version=version,
    )


class Rows:
    """An output that stands still."""

    def __init__(self, *rows: str, cursor: tuple[int, int] | None = (0, 2)) -> None:
        self._rows = list(rows)
        self.first = 0
        self.base = max(len(rows) - 1, 0)
        self.screen_rows = 1
        self.cursor = cursor
        self.alternate = False

    @property
    def end(self) -> int:
        return len(self._rows)

    def at(self, number: int) -> str | None:
        return self._rows[number] if 0 <= number < len(self._rows) else None

    def append(self, *rows: str) -> None:
        self._rows += rows
        self.base = len(self._rows) - 1


class KeepingWire:
    """Keeps what it is asked to do."""

    def __init__(self, outputs: Mapping[UUID, Output] | None = None) -> None:
        self.performed: list[Effect] = []
        self.watched: tuple[UUID, ...] = ()
        self.outputs = dict(outputs or {})

    def perform(self, effect: Effect) -> None:
        self.performed.append(effect)

    def watch(self, session_ids: tuple[UUID, ...]) -> None:
        self.watched = session_ids

    def find_output(self, session_id: UUID) -> Output | None:
        return self.outputs.get(session_id)


class Scene:
    """A console over a made-up office."""

    def __init__(
        self,
        *sessions: SessionInfo,
        outputs: Mapping[UUID, Output] | None = None,
        memory: Memory | None = None,
        keymap: Keymap | None = None,
        state: ConsoleState | None = None,
        wired: bool = True,
    ) -> None:
        self.wire = KeepingWire(outputs)
        self.kept: list[Memory] = []
        self.now = NOW
        ids = count(100)
        self.app = ConsoleApp(
            office_state(*sessions, memory=memory) if state is None else state,
            keymap or build_keymap(),
            keep=self.kept.append,
            now=lambda: self.now,
            new_id=lambda: UUID(int=next(ids)),
        )
        if wired:
            self.app.connect(self.wire)

    @property
    def state(self) -> ConsoleState:
        return self.app.state

    def tell(self, change: Change) -> None:
        self.app.tell(change)


def office_state(*sessions: SessionInfo, memory: Memory | None = None) -> ConsoleState:
    """What a console knows once it has read everything."""
    state = restore(memory or Memory(), NOW)
    changes: list[Change] = [
        partial(news.see_offices, offices=(OFFICE, OTHER_OFFICE)),
        *(partial(news.see_session, session=each) for each in sessions),
        news.see_all_loaded,
        partial(news.see_connection, word="live", since=NOW),
    ]
    for change in changes:
        state, _ = change(state)
    return state
