"""Offices and sessions, which one is selected, and who waits for a person."""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from semo_console.state.conditions import Condition, Entry
from semo_office.models import Office, SessionInfo, SessionStatus

LOOKED_AT_AFTER = timedelta(seconds=2)

# `g` begins "go to", so it names no session.
_TAGS = [*(letter for letter in string.ascii_lowercase if letter != "g"), *string.ascii_uppercase]


@dataclass(frozen=True)
class Roster:
    """What the list on the left shows. The selection is a session, never a row: nothing moves it but a person."""

    offices: tuple[Office, ...] = ()
    entries: Mapping[UUID, Entry] = field(default_factory=dict)
    selected: UUID | None = None
    previous: UUID | None = None
    selected_at: datetime | None = None
    queue: tuple[UUID, ...] = ()
    """Who needs a person. The order stays while the selection is in it."""
    filter: str = ""
    tags: Mapping[UUID, str] = field(default_factory=dict)
    """Given tags, also of sessions that an earlier console knew."""
    marks: Mapping[UUID, datetime] = field(default_factory=dict)
    """`read_until` of sessions that an earlier console knew."""

    @property
    def at_hand(self) -> Entry | None:
        return self.entries.get(self.selected) if self.selected else None

    def listed(self) -> list[Entry]:
        """Sessions in the order of the list: by office, then oldest first; only those that match the filter."""
        order = {office.id: index for index, office in enumerate(self.offices)}
        entries = sorted(
            self.entries.values(),
            key=lambda entry: (
                order.get(entry.info.office_id, len(order)),
                entry.info.created_at,
                entry.session_id,
            ),
        )
        return [entry for entry in entries if self.matches(entry)]

    def matches(self, entry: Entry) -> bool:
        """Every word of the filter is in the row; `!word` must not be."""
        info, condition = entry.info, entry.condition
        row = f"{info.role} {condition.word} {info.session_id} {info.title or ''} {info.reason or ''}".lower()
        return all(
            word[1:] not in row if word.startswith("!") and len(word) > 1 else word in row
            for word in self.filter.lower().split()
        )

    def waiting(self) -> list[Entry]:
        return [self.entries[session_id] for session_id in self.queue]

    def find_tag(self, tag: str) -> Entry | None:
        return next((entry for entry in self.entries.values() if entry.tag == tag), None)

    def office_of(self, entry: Entry) -> Office | None:
        return next((office for office in self.offices if office.id == entry.info.office_id), None)

    def count(self, condition: Condition) -> int:
        return sum(entry.condition is condition for entry in self.entries.values())

    def see_offices(self, offices: Iterable[Office]) -> "Roster":
        return replace(self, offices=tuple(offices))

    def see(self, info: SessionInfo, now: datetime) -> "Roster":
        """News of a session."""
        known = self.entries.get(info.session_id)
        if known is None and info.status is SessionStatus.TERMINATED:
            return self
        entry = known.now_is(info, now) if known else self._new_entry(info, now)
        seen = replace(
            self,
            entries={**self.entries, entry.session_id: entry},
            tags={**self.tags, entry.session_id: entry.tag},
        )
        return seen._settled()

    def select(self, session_id: UUID, now: datetime) -> "Roster":
        """Go to a session. One that has ended is gone from the list once it was left."""
        if session_id == self.selected or session_id not in self.entries:
            return self
        left = self.at_hand
        entries = dict(self.entries)
        if left is not None and left.ended:
            del entries[left.session_id]
        previous = self.selected if self.selected in entries else self.previous
        moved = replace(self, entries=entries, selected=session_id, previous=previous, selected_at=now)
        return moved._settled()

    def begin(self, now: datetime) -> "Roster":
        """All sessions are known: go to one if none is selected, or the one that was is no longer there."""
        if self.at_hand is not None or not self.entries:
            return self
        first = next(iter(self.waiting() or self.listed()), None)
        return self.select(first.session_id, now) if first else self

    def move(self, by: int, now: datetime, *, in_queue: bool = False) -> "Roster":
        """So many rows down, or up when negative; it stops at both ends."""
        rows = self.waiting() if in_queue else self.listed()
        if not rows:
            return self
        ids = [entry.session_id for entry in rows]
        if self.selected not in ids:
            return self.select(ids[0], now)
        at = min(max(ids.index(self.selected) + by, 0), len(ids) - 1)
        return self.select(ids[at], now)

    def go_to_need(self, step: int, now: datetime) -> "Roster":
        """The next (1) or previous (-1) session that needs a person, round and round."""
        if not self.queue:
            return self
        start = 0 if step > 0 else -1
        at = self.queue.index(self.selected) + step if self.selected in self.queue else start
        return self.select(self.queue[at % len(self.queue)], now)

    def tick(self, now: datetime) -> "Roster":
        """Looking at a session for a while marks it read."""
        entry = self.at_hand
        if entry is None or not entry.unread or self.selected_at is None:
            return self
        if now - max(self.selected_at, entry.changed_at) < LOOKED_AT_AFTER:
            return self
        return replace(self, entries={**self.entries, entry.session_id: entry.read()})._settled()

    def _new_entry(self, info: SessionInfo, now: datetime) -> Entry:
        tag = self.tags.get(info.session_id) or self._free_tag()
        return Entry(info, tag, read_until=self.marks.get(info.session_id, info.status_as_of), changed_at=now)

    def _free_tag(self) -> str:
        # A tag of a session that is gone may be given again when all were used.
        living = {entry.tag for entry in self.entries.values()}
        ever = {*self.tags.values(), *living}
        unused = [tag for tag in _TAGS if tag not in ever] or [tag for tag in _TAGS if tag not in living]
        return unused[0] if unused else " "

    def _settled(self) -> "Roster":
        kept = {
            session_id: entry
            for session_id, entry in self.entries.items()
            if not entry.ended or entry.needs_you or session_id == self.selected
        }
        settled = replace(self, entries=kept)
        return replace(settled, queue=settled._queue())

    def _queue(self) -> tuple[UUID, ...]:
        needing = sorted((e for e in self.entries.values() if e.needs_you), key=lambda entry: entry.urgency)
        if self.selected not in self.queue or self.selected not in self.entries:
            return tuple(entry.session_id for entry in needing)
        # The cursor is in the queue: rows keep their places, the newcomers go below.
        wanted = {entry.session_id for entry in needing} | {self.selected}
        stay = tuple(session_id for session_id in self.queue if session_id in wanted)
        return stay + tuple(entry.session_id for entry in needing if entry.session_id not in stay)
