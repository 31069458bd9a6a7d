"""Offices, and the hosts that serve them."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, JsonValue

from semo_office.link import Link, among, eq, is_null
from semo_office.models import AgentHost, HostProfile, Lease, Office, OfficeHost

Terminal = Literal["auto", "pty", "tmux", "iterm2"]


class PlacedHost(BaseModel):
    """A host in an office. `lease` is the agent process that acts for it, None: none ever did."""

    model_config = ConfigDict(frozen=True)

    place: OfficeHost
    host: AgentHost
    lease: Lease | None = None


class OfficeStore:
    """Offices and hosts.

    Every method raises LinkError when the office can't be reached, NotAuthenticated, and CommandError when it refuses.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def create_office(self, name: str, repo_path: str, *, office_id: UUID | None = None) -> Office:
        """The caller's office for this folder, made if it is not there; the caller becomes its admin."""
        row = await self._link.rpc(
            "create_office",
            {"p_id": str(office_id or uuid4()), "p_name": name, "p_repo_path": repo_path},
            retry=True,
        )
        return Office.model_validate(row)

    async def get_office(self, office_id: UUID) -> Office | None:
        """None: there is no such office, or none that the caller may see."""
        found = await self._select("id", str(office_id))
        return found[0] if found else None

    async def get_offices(self) -> list[Office]:
        """Every office that the caller may see, oldest first."""
        rows = await self._link.select("offices", filters=[is_null("deleted_at")], order=["created_at", "id"])
        return [Office.model_validate(row) for row in rows]

    async def find_by_repo_path(self, repo_path: str) -> list[Office]:
        return await self._select("repo_path", repo_path)

    async def find_by_name(self, name: str) -> list[Office]:
        """Names need not be unique: a caller says which one it means when there are several."""
        return await self._select("name", name)

    async def register_host(self, host_id: UUID, name: str, owner_id: UUID) -> AgentHost:
        """Called by the host under its own identity; again is no error. Raises CommandError(FORBIDDEN, CONFLICT)."""
        row = await self._link.rpc(
            "register_host", {"p_id": str(host_id), "p_name": name, "p_owner_id": str(owner_id)}, retry=True
        )
        return AgentHost.model_validate(row)

    async def attach_host(
        self,
        office_id: UUID,
        host_id: UUID,
        repo_path: str,
        *,
        terminal: Terminal = "auto",
        max_sessions: int = 50,
    ) -> OfficeHost:
        """Called by an admin of the office who owns the host; again moves it. Raises CommandError(FORBIDDEN)."""
        row = await self._link.rpc(
            "attach_host",
            {
                "p_office_id": str(office_id),
                "p_host_id": str(host_id),
                "p_repo_path": repo_path,
                "p_terminal": terminal,
                "p_max_sessions": max_sessions,
            },
            retry=True,
        )
        return OfficeHost.model_validate(row)

    async def archive_office(self, office_id: UUID) -> Office:
        """Called by an admin: it is there to be read from now on. Raises CommandError(CONFLICT) while jobs run."""
        return Office.model_validate(
            await self._link.rpc("archive_office", {"p_office_id": str(office_id)}, retry=True)
        )

    async def restore_office(self, office_id: UUID) -> Office:
        """Called by an admin: an archived office takes jobs, sessions and prompts again."""
        return Office.model_validate(
            await self._link.rpc("restore_office", {"p_office_id": str(office_id)}, retry=True)
        )

    async def admit_server(self, office_id: UUID, user_id: UUID) -> None:
        """Called by an admin: this user's `semo serve` may lead it. Raises CommandError(FORBIDDEN, CONFLICT)."""
        await self._link.rpc("admit_server", {"p_office_id": str(office_id), "p_user_id": str(user_id)}, retry=True)

    async def offices_of_server(self, user_id: UUID) -> list[UUID]:
        """Where this user is admitted as a server."""
        rows = await self._link.select(
            "office_members", filters=[eq("user_id", user_id), eq("role", "server")], order=["office_id"]
        )
        return [UUID(str(row["office_id"])) for row in rows]

    async def hosts(self, office_id: UUID) -> list[PlacedHost]:
        """The hosts that serve the office, in the order they were attached."""
        places = [
            OfficeHost.model_validate(row)
            for row in await self._link.select(
                "office_hosts", filters=[eq("office_id", office_id)], order=["created_at", "host_id"]
            )
        ]
        ids = [place.host_id for place in places]
        hosts = {host.id: host for host in await self._hosts(ids)}
        leases = {lease.host_id: lease for lease in await self._leases(ids)}
        return [
            PlacedHost(place=place, host=hosts[place.host_id], lease=leases.get(place.host_id))
            for place in places
            if place.host_id in hosts
        ]

    async def report_profiles(self, instance: UUID, profiles: Sequence[HostProfile]) -> None:
        """All profiles of the calling host, in place of those before. Raises CommandError(FORBIDDEN, SUPERSEDED)."""
        rows: list[JsonValue] = [profile.model_dump(mode="json", exclude={"host_id"}) for profile in profiles]
        await self._link.rpc("report_profiles", {"p_instance": str(instance), "p_profiles": rows}, retry=True)

    async def profiles(self, office_id: UUID) -> list[HostProfile]:
        """What can be run on the hosts that serve the office, host by host."""
        hosts = [placed.host.id for placed in await self.hosts(office_id)]
        rows = await self._link.select("host_profiles", filters=[among("host_id", hosts)], order=["host_id", "name"])
        return [HostProfile.model_validate(row) for row in rows]

    async def offices_of_host(self, host_id: UUID) -> list[OfficeHost]:
        """Where this host serves; the agent's list of offices to listen to."""
        rows = await self._link.select(
            "office_hosts", filters=[eq("host_id", host_id)], order=["created_at", "office_id"]
        )
        return [OfficeHost.model_validate(row) for row in rows]

    async def get_host(self, host_id: UUID) -> AgentHost | None:
        """None: there is no such host, or none that the caller may see."""
        found = await self._hosts([host_id])
        return found[0] if found else None

    async def _select(self, column: str, value: str) -> list[Office]:
        rows = await self._link.select(
            "offices", filters=[eq(column, value), is_null("deleted_at")], order=["created_at", "id"]
        )
        return [Office.model_validate(row) for row in rows]

    async def _hosts(self, ids: list[UUID]) -> list[AgentHost]:
        rows = await self._link.select("agent_hosts", filters=[among("id", ids)], order=["created_at", "id"])
        return [AgentHost.model_validate(row) for row in rows]

    async def _leases(self, ids: list[UUID]) -> list[Lease]:
        rows = await self._link.select("leases", filters=[among("host_id", ids)], order=["host_id"])
        return [Lease.model_validate(row) for row in rows]
