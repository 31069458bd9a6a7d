"""The team of an office: who works in which role, and how."""

from collections.abc import Iterable
from uuid import UUID

from semo_office.link import Link, Row, eq, is_null
from semo_office.models import AgentPersona, OfficeAgent


class AgentService:
    """`office_agents` and their personas. Raises LinkError, NotAuthenticated."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get_agent(self, agent_id: UUID) -> OfficeAgent | None:
        """None: there is no such office agent, or none that the caller may see."""
        rows = await self._link.select("office_agents", filters=[eq("id", agent_id), is_null("deleted_at")])
        return OfficeAgent.model_validate(rows[0]) if rows else None

    async def get_agents_by_office(self, office_id: UUID) -> list[OfficeAgent]:
        """The team, in the order in which it came."""
        rows = await self._link.select(
            "office_agents", filters=[eq("office_id", office_id), is_null("deleted_at")], order=["created_at", "id"]
        )
        return [OfficeAgent.model_validate(row) for row in rows]

    async def get_persona(self, agent: OfficeAgent) -> AgentPersona | None:
        """The agent's own persona, else its role's default: the office's before everybody's. None: a role without."""
        if agent.persona_id is None:
            return await self.get_role_persona(agent.office_id, agent.role)
        rows = await self._link.select("agent_personas", filters=[eq("id", agent.persona_id)])
        return _first_for(agent.office_id, rows)

    async def get_role_persona(self, office_id: UUID, role: str) -> AgentPersona | None:
        """How the office's people of this role work, else how everybody's do. None: nothing is said of the role."""
        rows = await self._link.select(
            "agent_personas", filters=[eq("role", role), eq("is_default", "true")], order=["id"]
        )
        return _first_for(office_id, rows)


def _first_for(office_id: UUID, rows: Iterable[Row]) -> AgentPersona | None:
    personas = map(AgentPersona.model_validate, rows)
    found = [persona for persona in personas if persona.office_id in (None, office_id)]
    return min(found, key=lambda persona: persona.office_id is None, default=None)
