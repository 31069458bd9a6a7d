"""The team of an office: who works in which role, and how."""

from collections.abc import Iterable
from uuid import UUID, uuid4

from semo_office.dispatcher import typeable
from semo_office.link import Link, Row, eq, is_null
from semo_office.models import AgentPersona, OfficeAgent
from semo_office.personas import PersonaText


class AgentService:
    """`office_agents` and their personas. Raises LinkError, NotAuthenticated, and CommandError when it is refused."""

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

    async def add_agent(
        self,
        office_id: UUID,
        role: str,
        *,
        name: str | None = None,
        profile: str | None = None,
        persona: PersonaText | None = None,
        agent_id: UUID | None = None,
    ) -> OfficeAgent:
        """Called by an admin. `name` None: role and number; `profile` None: shell; `persona` None: the role's.

        Raises CommandError: CONFLICT for a name that is taken and an archived office.
        """
        row = await self._link.rpc(
            "add_agent",
            {
                "p_id": str(agent_id or uuid4()),
                "p_office_id": str(office_id),
                "p_role": typeable(role, "role"),
                "p_name": None if name is None else typeable(name, "name"),
                "p_profile": profile,
                "p_persona": None if persona is None else persona.to_json(),
            },
            retry=True,
        )
        return OfficeAgent.model_validate(row)

    async def remove_agent(self, agent_id: UUID) -> OfficeAgent:
        """Called by an admin; what it did stays, what it has not begun goes to others of its role.

        Raises CommandError(CONFLICT) while it works.
        """
        return OfficeAgent.model_validate(await self._link.rpc("remove_agent", {"p_id": str(agent_id)}, retry=True))

    async def set_persona(self, office_id: UUID, role: str, persona: PersonaText) -> AgentPersona:
        """Called by an admin: how this office's people of the role work from now on."""
        row = await self._link.rpc(
            "set_persona",
            {"p_office_id": str(office_id), "p_role": typeable(role, "role"), "p_persona": persona.to_json()},
            retry=True,
        )
        return AgentPersona.model_validate(row)

    async def get_personas(self, office_id: UUID) -> list[AgentPersona]:
        """How roles work in this office: its own personas, and everybody's where it has none of its own."""
        rows = await self._link.select("agent_personas", filters=[eq("is_default", "true")], order=["role", "id"])
        personas = [p for p in map(AgentPersona.model_validate, rows) if p.office_id in (None, office_id)]
        own = {persona.role for persona in personas if persona.office_id is not None}
        return [persona for persona in personas if persona.office_id is not None or persona.role not in own]

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
