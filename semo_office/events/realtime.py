"""SessionRealtimeEvents: both sides of what is broadcast about sessions."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from semo_office.events.payloads import (
    CommandResultEvent,
    LastLine,
    OutputEvent,
    SessionOutput,
    SessionStatusEvent,
    StreamingEvent,
)
from semo_office.events.watch import OutputWatch
from semo_office.link import Broadcasts, Link
from semo_office.models import AgentCommandResult, SessionInfo

POLL_S: Final = 60.0


class SessionEvents:
    """Changes of state and results, as they happen: enter it, iterate. For a client that only listens.

    A broadcast can be lost: `SessionStore` and `CommandRepository` say what is. Raises LinkError when the link ends.
    """

    def __init__(self, heard: Broadcasts) -> None:
        self._heard = heard

    async def __aenter__(self) -> Self:
        await self._heard.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._heard.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionStatusEvent | CommandResultEvent:
        while True:
            broadcast = await self._heard.next(POLL_S)
            if broadcast is None:
                continue
            kind = SessionStatusEvent if broadcast.name == SessionStatusEvent.name else CommandResultEvent
            if (event := kind.read(broadcast.payload)) is not None:
                return event


class SessionRealtimeEvents:
    """Broadcasts about the sessions of offices, and the way to hear them.

    States and results are announced by the database itself, in the transaction that makes them so: there is one truth,
    and nobody can announce what is not committed. Every method raises LinkError, and CommandError when it is refused.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def broadcast_session_status(self, office_id: UUID, session: SessionInfo) -> None:
        """Announce the session once more, as its row is now."""
        await self._link.rpc(
            "broadcast_session_status",
            {"p_office_id": str(office_id), "p_session_id": str(session.session_id)},
            retry=True,
        )

    async def broadcast_command_result(self, office_id: UUID, result: AgentCommandResult) -> None:
        """Announce once more that the command ended."""
        await self._link.rpc(
            "broadcast_command_result",
            {"p_office_id": str(office_id), "p_command_id": str(result.command_id)},
            retry=True,
        )

    async def broadcast_session_output(
        self, office_id: UUID, outputs: Sequence[SessionOutput], last_lines: Sequence[LastLine] = ()
    ) -> None:
        """Send what changed in one tick. The caller keeps it below the limit of one message."""
        event = OutputEvent(outputs=tuple(outputs), last_lines=tuple(last_lines))
        await self._link.send(office_id, OutputEvent.name, event.model_dump(mode="json"))

    async def broadcast_streaming(self, office_id: UUID, instance: UUID) -> None:
        """Say that an agent listens for watchers now."""
        await self._link.send(office_id, StreamingEvent.name, StreamingEvent(instance=instance).model_dump(mode="json"))

    def watch_output(self, office_id: UUID, session_ids: Iterable[UUID] = ()) -> OutputWatch:
        """The output of these sessions, as it comes."""
        watch = OutputWatch(self._link, office_id)
        watch.show(session_ids)
        return watch

    def watch_events(self, office_id: UUID) -> SessionEvents:
        """Changes of state, and ends of commands."""
        return SessionEvents(self._link.listen(office_id, SessionStatusEvent.name, CommandResultEvent.name))
