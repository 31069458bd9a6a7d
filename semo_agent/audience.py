"""Who watches the output of one office."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from semo_office.events import WatchEvent
from semo_office.link import Broadcast

WATCH_S: Final = 30.0
MOST_WATCHERS: Final = 200


@dataclass(frozen=True, slots=True)
class _Watch:
    session_ids: frozenset[UUID]
    until: float


class Audience:
    """The watchers of one office, as they said last; hears the office's topic. `on_news` is called after each change.

    `resync`: sessions that somebody needs as a whole; `must_greet`: nobody here knows yet that this agent listens.
    """

    def __init__(self, office_id: UUID, clock: Callable[[], float], on_news: Callable[[], None]) -> None:
        self.office_id = office_id
        self.resync: set[UUID] = set()
        self.must_greet = False
        self._greeted = False
        self._clock = clock
        self._on_news = on_news
        self._watches: dict[UUID, _Watch] = {}

    def on_broadcast(self, broadcast: Broadcast) -> None:
        if broadcast.name == WatchEvent.name and (event := WatchEvent.read(broadcast.payload)) is not None:
            self.note(event)

    def on_gap(self) -> None:
        """The topic was joined (again): what was sent before may not have arrived."""
        self.must_greet = self.must_greet or not self._greeted
        self._greeted = True
        self.resync |= self.watched()
        self._on_news()

    def on_change(self) -> None:
        """Nothing to do: what can't be sent now is sent as a whole after the next join."""

    def note(self, event: WatchEvent) -> None:
        """What one client watches for the next 30 s; what it did not watch until now it needs as a whole."""
        self._forget_gone()
        before = self._watches.pop(event.watcher, None)
        watch = _Watch(frozenset(event.session_ids), self._clock() + WATCH_S)
        self._watches[event.watcher] = watch
        while len(self._watches) > MOST_WATCHERS:
            self._watches.pop(next(iter(self._watches)))
        self.resync |= (watch.session_ids - (before.session_ids if before else frozenset())) | set(event.resync)
        if self.resync:
            self._on_news()

    @property
    def receivers(self) -> int:
        """Clients that are told."""
        self._forget_gone()
        return len(self._watches)

    def watched(self) -> frozenset[UUID]:
        """Sessions that somebody looks at."""
        self._forget_gone()
        return frozenset().union(*(watch.session_ids for watch in self._watches.values()))

    def take_resync(self, among: Iterable[UUID]) -> set[UUID]:
        """Those that must be sent as a whole now; the others were asked for by somebody who has left."""
        taken = self.resync & set(among)
        self.resync.clear()
        return taken

    def _forget_gone(self) -> None:
        now = self._clock()
        if any(watch.until <= now for watch in self._watches.values()):
            self._watches = {who: watch for who, watch in self._watches.items() if watch.until > now}
