"""What the console remembers from one start to the next."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from semo_console.state.composer import Composer
from semo_console.state.console import ConsoleState, Region
from semo_console.state.panes import LAYOUTS, Pane, Panes
from semo_console.state.roster import Roster

FORGET_TAGS_ABOVE = 200


class SavedPane(BaseModel):
    """A pane without what scrolling did: it follows the end at the next start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: UUID | None = None


class Memory(BaseModel):
    """Selection, layout, drafts, tags and what was read, in a private file of the state folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    selected: UUID | None = None
    panes: tuple[SavedPane, ...] = (SavedPane(),)
    focused: int | None = None
    zoomed: bool = False
    filter: str = ""
    drafts: dict[UUID, str] = Field(default_factory=dict)
    tags: dict[UUID, str] = Field(default_factory=dict)
    marks: dict[UUID, datetime] = Field(default_factory=dict)


def remember(state: ConsoleState) -> Memory:
    """What is worth keeping. Tags and marks of sessions that an office no longer shows go once there are many."""
    roster = state.roster
    tags = dict(roster.tags)
    if len(tags) > FORGET_TAGS_ABOVE:
        tags = {session_id: tag for session_id, tag in tags.items() if session_id in roster.entries}
    known = {session_id: entry.read_until for session_id, entry in roster.entries.items()}
    return Memory(
        selected=roster.selected,
        panes=tuple(SavedPane(session_id=pane.session_id) for pane in state.panes.panes),
        focused=state.panes.focused,
        zoomed=state.panes.zoomed,
        filter=roster.filter,
        drafts=dict(state.composer.drafts),
        tags=tags,
        marks={session_id: mark for session_id, mark in {**roster.marks, **known}.items() if session_id in tags},
    )


def restore(memory: Memory, now: datetime) -> ConsoleState:
    """The state that a console begins with: where it was, and nothing known yet."""
    count = len(memory.panes) if len(memory.panes) in LAYOUTS else LAYOUTS[0]
    panes = tuple(Pane(pane.session_id) for pane in memory.panes)[:count]
    focused = memory.focused if memory.focused is not None and memory.focused < count else None
    return ConsoleState(
        now=now,
        roster=Roster(
            selected=memory.selected,
            selected_at=now,
            filter=memory.filter,
            tags=memory.tags,
            marks=memory.marks,
        ),
        panes=Panes(panes or (Pane(),), focused, memory.zoomed),
        composer=Composer(target=memory.selected, drafts=memory.drafts),
        region=Region.TREE if focused is None else Region.PANES,
    )
