"""Sessions in the database: read by everybody in the office, written by the agent of their host only."""

from uuid import UUID

from semo_office.link import Filter, Link, eq, is_null, neq
from semo_office.models import SessionInfo, SessionReport, SessionStatus


class SessionStore:
    """`agent_sessions`. A session is made by the command `create_session`; what becomes of it is the agent's word.

    Every method raises LinkError when the office can't be reached, NotAuthenticated, and CommandError when it refuses.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get_session(self, session_id: UUID) -> SessionInfo | None:
        """None: there is no such session, or none that the caller may see."""
        found = await self._select([eq("session_id", session_id)])
        return found[0] if found else None

    async def get_sessions_by_office(self, office_id: UUID, *, with_ended: bool = False) -> list[SessionInfo]:
        """The office's sessions, oldest first."""
        return await self._select([eq("office_id", office_id)], with_ended=with_ended)

    async def get_sessions_by_host(self, host_id: UUID, *, with_ended: bool = False) -> list[SessionInfo]:
        """The host's sessions in all offices, oldest first."""
        return await self._select([eq("host_id", host_id)], with_ended=with_ended)

    async def get_session_by_agent(self, agent_id: UUID) -> SessionInfo | None:
        """The session that the office agent works in now; None: it has none."""
        found = await self._select([eq("agent_id", agent_id)], with_ended=False)
        return found[-1] if found else None

    async def set_session(self, instance: UUID, session_id: UUID, report: SessionReport) -> SessionInfo:
        """What the agent saw; what the report leaves out stays. Raises CommandError(SUPERSEDED, SESSION_NOT_FOUND)."""
        row = await self._link.rpc(
            "report_session",
            {"p_instance": str(instance), "p_session_id": str(session_id), "p_session": report.to_json()},
            retry=True,
        )
        return SessionInfo.model_validate(row)

    async def update_status(
        self, instance: UUID, session_id: UUID, status: SessionStatus, *, source: str, reason: str | None = None
    ) -> SessionInfo:
        """`set_session` with a status and what it rests on."""
        return await self.set_session(
            instance, session_id, SessionReport(status=status, status_source=source, reason=reason)
        )

    async def remove_session(
        self, instance: UUID, session_id: UUID, *, source: str, report: SessionReport | None = None
    ) -> SessionInfo:
        """The session's process is gone. The row stays; its waiting commands fail with session_exited."""
        ended = (report or SessionReport()).model_copy(
            update={"status": SessionStatus.TERMINATED, "status_source": source}
        )
        return await self.set_session(instance, session_id, ended)

    async def _select(self, filters: list[Filter], *, with_ended: bool = True) -> list[SessionInfo]:
        if not with_ended:
            filters = [*filters, neq("status", SessionStatus.TERMINATED), is_null("deleted_at")]
        rows = await self._link.select("agent_sessions", filters=filters, order=["created_at", "session_id"])
        return [SessionInfo.model_validate(row) for row in rows]
