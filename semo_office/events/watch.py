"""Watching the live output of some sessions of an office."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self
from uuid import UUID, uuid4

from semo_office.errors import LinkError
from semo_office.events.payloads import LastLine, OutputEvent, SessionOutput, StreamingEvent
from semo_office.link import Broadcast, Link

RENEW_S: Final = 10.0
ANSWERED_WITHIN_S: Final = 2.0
RESYNC_EVERY_S: Final = 0.25
"""Between two requests: a storm of gaps is one request each so often."""
RETRY_S: Final = 1.0
POLL_S: Final = 60.0


class OutputWatch:
    """The output of the sessions that are shown: enter it, `show` them, iterate. One reader.

        async with OutputWatch(link, office_id) as watch:
            watch.show([session_id])
            async for output in watch:
                if views[output.session_id].apply(output).gap:
                    watch.resync(output.session_id)

    A session that is shown anew comes as a whole, and so do all after a gap of the link. `last_lines`: the newest row
    of sessions that are not shown, at most one a second of each. Iterating raises LinkError when the link ends, and
    what the office refuses with.
    """

    def __init__(self, link: Link, office_id: UUID) -> None:
        self.last_lines: dict[UUID, LastLine] = {}
        self._link = link
        self._office_id = office_id
        self._watcher = uuid4()
        self._heard = link.listen(office_id, OutputEvent.name, StreamingEvent.name)
        self._shown: frozenset[UUID] = frozenset()
        self._owed: dict[UUID, int] = {}
        """Sessions whose whole output has not come yet, and how often it was asked for."""
        self._ready: list[SessionOutput] = []
        self._renew = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._heard.__aenter__()
        self._renewing = asyncio.create_task(self._keep_renewing(), name=f"watch of office {self._office_id}")
        self._renewing.add_done_callback(lambda _task: self._heard.ring())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._heard.__aexit__(kind, error, trace)
        if self._renewing is not None:
            self._renewing.cancel()
            # What it failed with was raised where it was read, or comes too late for anybody.
            await asyncio.wait([self._renewing])

    def show(self, session_ids: Iterable[UUID]) -> None:
        """Watch these from now on, and no others. None of them: only `last_lines` come."""
        shown = frozenset(session_ids)
        if shown == self._shown:
            return
        self._owed = {each: times for each, times in self._owed.items() if each in shown}
        self._owed.update(dict.fromkeys(shown - self._shown, 0))
        self._shown = shown
        self._renew.set()

    def resync(self, session_id: UUID) -> None:
        """Ask for everything of a session again: its view saw a gap."""
        if session_id in self._shown and self._owed.get(session_id) != 0:
            self._owed[session_id] = 0
            self._renew.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionOutput:
        while not self._ready:
            self._check()
            broadcast = await self._heard.next(POLL_S)
            self._check()
            if self._heard.take_gap():
                self._owe_everything()
            if broadcast is not None:
                self._take(broadcast)
        return self._ready.pop(0)

    def _take(self, broadcast: Broadcast) -> None:
        if broadcast.name == StreamingEvent.name:
            # An agent that has just come knows nobody.
            self._owe_everything()
        elif (event := OutputEvent.read(broadcast.payload)) is not None:
            self.last_lines.update((line.session_id, line) for line in event.last_lines)
            self._ready += [output for output in event.outputs if output.session_id in self._shown]
            for output in event.outputs:
                if output.stands_alone:
                    self._owed.pop(output.session_id, None)

    def _owe_everything(self) -> None:
        self._owed = dict.fromkeys(self._shown, 0)
        self._renew.set()

    def _check(self) -> None:
        if self._renewing is not None and self._renewing.done() and not self._renewing.cancelled():
            self._renewing.result()

    async def _keep_renewing(self) -> None:
        """Say what is watched: at once when that changes, and before the agents forget it."""
        while True:
            self._renew.clear()
            pause = await self._say()
            # A moment for whatever else is asked meanwhile.
            await self._link.timing.sleep(RESYNC_EVERY_S)
            await self._link.timing.rings(self._renew, pause)

    async def _say(self) -> float:
        """Renew once; how long that holds, s."""
        owed = list(self._owed)
        try:
            await self._link.rpc(
                "watch_sessions",
                {
                    "p_office_id": str(self._office_id),
                    "p_session_ids": [str(each) for each in sorted(self._shown)],
                    "p_resync": [str(each) for each in owed],
                    "p_watcher": str(self._watcher),
                },
                retry=True,
            )
        except LinkError:
            return RETRY_S
        self._owed.update((each, self._owed[each] + 1) for each in owed if each in self._owed)
        # One that does not come after two requests has ended, or its host is away: the renewals go on asking.
        return ANSWERED_WITHIN_S if any(times < 2 for times in self._owed.values()) else RENEW_S
