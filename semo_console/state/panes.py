"""Which sessions the panes show, and from which row on."""

from dataclasses import dataclass, replace
from uuid import UUID

LAYOUTS = (1, 2, 4)


@dataclass(frozen=True)
class Pane:
    """A window on a session. `top`: the first row shown, None: it follows the end."""

    session_id: UUID | None = None
    top: int | None = None


@dataclass(frozen=True)
class Panes:
    """The first pane shows what is selected; the others stay with their sessions."""

    panes: tuple[Pane, ...] = (Pane(),)
    focused: int | None = None
    zoomed: bool = False

    @property
    def shown(self) -> tuple[UUID, ...]:
        ids = (pane.session_id for pane in self.panes)
        return tuple(dict.fromkeys(session_id for session_id in ids if session_id is not None))

    @property
    def scrolling(self) -> int:
        """The pane that scrolling moves."""
        return self.focused or 0

    def follow(self, selected: UUID | None) -> "Panes":
        first = self.panes[0]
        if first.session_id == selected:
            return self
        return replace(self, panes=(Pane(selected), *self.panes[1:]))

    def resize(self, step: int, candidates: list[UUID]) -> "Panes":
        """The next (1) or previous (-1) layout; new panes take sessions that are not shown yet."""
        count = LAYOUTS[(LAYOUTS.index(len(self.panes)) + step) % len(LAYOUTS)]
        free = [session_id for session_id in candidates if session_id not in self.shown]
        more = [Pane(free.pop(0) if free else None) for _ in range(count - len(self.panes))]
        panes = (*self.panes, *more)[:count]
        focused = self.focused if self.focused is not None and self.focused < count else None
        return replace(self, panes=panes, focused=focused)

    def focus(self, index: int | None) -> "Panes":
        if index is not None and index >= len(self.panes):
            return self
        return replace(self, focused=index)

    def pin(self, session_id: UUID) -> "Panes":
        """Keep a session in the focused pane, else in the first that shows nothing, else in the last."""
        if len(self.panes) == 1:
            return self
        empty = [index for index, pane in enumerate(self.panes) if index and pane.session_id is None]
        at = self.focused or (empty or [len(self.panes) - 1])[0]
        return self._put(at, Pane(session_id))

    def scroll(self, top: int | None) -> "Panes":
        return self._put(self.scrolling, replace(self.panes[self.scrolling], top=top))

    def zoom(self) -> "Panes":
        return replace(self, zoomed=not self.zoomed)

    def _put(self, at: int, pane: Pane) -> "Panes":
        return replace(self, panes=(*self.panes[:at], pane, *self.panes[at + 1 :]))


@dataclass(frozen=True)
class Extent:
    """Rows that a session has (`first` up to, not including, `end`), seen through a pane of so many rows."""

    first: int
    end: int
    height: int

    @property
    def live_top(self) -> int:
        return max(self.first, self.end - self.height)

    def top_of(self, wanted: int | None) -> int:
        """The first row to show. Rows that are no longer kept can't be."""
        return self.live_top if wanted is None else min(max(wanted, self.first), self.live_top)

    def scrolled(self, wanted: int | None, by: int) -> int | None:
        """So many rows down, up when negative; None when that reaches the end: it follows again."""
        top = max(self.first, self.top_of(wanted) + by)
        return None if top >= self.live_top else top
