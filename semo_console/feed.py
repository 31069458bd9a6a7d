"""The live output of the sessions on the screen."""

from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from semo_console.state.output import Output
from semo_office.events import OutputView, OutputWatch, SessionOutput, SessionRealtimeEvents
from semo_office.link import Link

VIEWS_KEPT: Final = 16
"""Sessions whose output is kept after they left the screen: they are shown at once when they are back."""


class OutputFeed:
    """One watch for each office; `tell` gets the session and the first row that changed."""

    def __init__(self, link: Link, tell: Callable[[UUID, int], None]) -> None:
        self._events = SessionRealtimeEvents(link)
        self._tell = tell
        self._views: dict[UUID, OutputView] = {}
        self._watches: dict[UUID, OutputWatch] = {}
        self._office_of: dict[UUID, UUID] = {}
        self._shown: tuple[UUID, ...] = ()

    def find(self, session_id: UUID) -> Output | None:
        view = self._views.get(session_id)
        return view if view is not None and view.end > view.first else None

    def show(self, session_ids: Iterable[UUID]) -> None:
        """These are on the screen from now on."""
        self._shown = tuple(session_ids)
        for session_id in self._shown:
            # The oldest go first: what is shown now is the newest.
            view = self._views.pop(session_id) if session_id in self._views else OutputView()
            self._views[session_id] = view
        for session_id in list(self._views)[:-VIEWS_KEPT]:
            del self._views[session_id]
        for office_id in self._watches:
            self._say(office_id)

    def belongs(self, session_id: UUID, office_id: UUID) -> None:
        """A session became known."""
        if self._office_of.get(session_id) != office_id:
            self._office_of[session_id] = office_id
            self._say(office_id)

    async def follow(self, office_id: UUID) -> None:
        """Take in the output of the office's sessions for as long as the link lives. Raises LinkError."""
        async with self._events.watch_output(office_id) as watch:
            self._watches[office_id] = watch
            self._say(office_id)
            async for output in watch:
                self._take(watch, output)

    def _say(self, office_id: UUID) -> None:
        if (watch := self._watches.get(office_id)) is not None:
            watch.show([each for each in self._shown if self._office_of.get(each) == office_id])

    def _take(self, watch: OutputWatch, output: SessionOutput) -> None:
        view = self._views.get(output.session_id)
        if view is None:
            return
        applied = view.apply(output)
        if applied.gap:
            watch.resync(output.session_id)
            return
        # Without a changed row the cursor may still have moved.
        self._tell(output.session_id, view.end if applied.first_changed is None else applied.first_changed)
