"""`semo team …` and `semo persona …`: who works here, and how."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from semo_console.cli.actions.input_file import read_file
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.targets import choose_member
from semo_console.cli.actions.wording import SHORT_ID, print_json, print_table, remark, say
from semo_console.errors import UnclearTarget
from semo_office.agents import AgentService
from semo_office.locations import StateFolder
from semo_office.models import AgentPersona, Office, OfficeAgent
from semo_office.personas import PERSONA_BYTES_MAX, PersonaText, read_persona

DOES: dict[str, str] = {"idle": "idle", "working": "working", "blocked": "asks", "error": "failed"}

T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """What `semo team add` was told."""

    role: str
    name: str | None = None
    profile: str | None = None
    persona: Path | None = None


def add_member(state_dir: Path | None, office: str | None, member: Member, *, as_json: bool) -> None:
    """Add somebody and print the id. Raises UnreadableInput, CommandError."""
    persona = None if member.persona is None else _persona(member.persona, member.name or member.role)

    async def add(service: AgentService, place: Office) -> OfficeAgent:
        return await service.add_agent(place.id, member.role, name=member.name, profile=member.profile, persona=persona)

    added = _ask(state_dir, office, add)
    if as_json:
        print_json(added.model_dump(mode="json"))
    else:
        say(str(added.id))
        remark(f"{added.name} works here as {added.role}.")


def list_team(state_dir: Path | None, office: str | None, *, as_json: bool) -> None:
    """Print the team. Raises UnclearTarget, OfficeError."""
    team = _ask(state_dir, office, lambda service, place: service.get_agents_by_office(place.id))
    if as_json:
        print_json([member.model_dump(mode="json") for member in team])
    elif not team:
        remark("Nobody yet. `semo team add --role BE` adds somebody.")
    else:
        print_table([_row(member) for member in team])


def remove_member(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Take somebody off the team. Raises UnclearTarget, CommandError(CONFLICT) while they work."""

    async def remove(service: AgentService, place: Office) -> OfficeAgent:
        return await service.remove_agent(choose_member(await service.get_agents_by_office(place.id), chosen).id)

    removed = _ask(state_dir, office, remove)
    if as_json:
        print_json(removed.model_dump(mode="json"))
    else:
        remark(f"{removed.name} is off the team.")


def set_persona(state_dir: Path | None, office: str | None, role: str, file: Path, *, as_json: bool) -> None:
    """Say how a role works here. Raises UnreadableInput, CommandError."""
    persona = _persona(file, role)
    written = _ask(state_dir, office, lambda service, place: service.set_persona(place.id, role, persona))
    if as_json:
        print_json(written.model_dump(mode="json"))
    else:
        remark(f"{written.role} works as {written.name} here.")


def list_personas(state_dir: Path | None, office: str | None, *, as_json: bool) -> None:
    """Print the roles that are described. Raises UnclearTarget, OfficeError."""
    personas = _ask(state_dir, office, lambda service, place: service.get_personas(place.id))
    if as_json:
        print_json([persona.model_dump(mode="json") for persona in personas])
    else:
        print_table([(p.role, p.name, "built in" if p.office_id is None else "of this office") for p in personas])


def show_persona(state_dir: Path | None, office: str | None, role: str, *, as_json: bool) -> None:
    """Print how a role works. Raises UnclearTarget, OfficeError."""
    personas = _ask(state_dir, office, lambda service, place: service.get_personas(place.id))
    found = next((persona for persona in personas if persona.role == role), None)
    if found is None:
        roles = ", ".join(persona.role for persona in personas)
        raise UnclearTarget(f"Nothing is said of the role {role!r} here; there are {roles}.")
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _tell_persona(found)


def _ask(
    state_dir: Path | None, office: str | None, question: Callable[[AgentService, Office], Coroutine[Any, Any, T]]
) -> T:
    async def at_office(desk: OperatorDesk) -> T:
        return await question(AgentService(desk.link), await desk.find_office(office))

    return at_desk(StateFolder.find(state_dir), at_office)


def _persona(file: Path, name: str) -> PersonaText:
    return read_persona(read_file(file, PERSONA_BYTES_MAX), str(file), name=name)


def _row(member: OfficeAgent) -> tuple[str, ...]:
    return (
        str(member.id)[:SHORT_ID],
        member.name,
        member.role,
        member.profile or "shell",
        DOES[member.status],
        member.current_task or "",
    )


def _tell_persona(persona: AgentPersona) -> None:
    say(f"{persona.role}: {persona.name}")
    for what, lines in (("scope", persona.scope_patterns), ("skills", persona.core_skills)):
        if lines:
            say(f"{what}: {', '.join(lines)}")
    say("")
    say(persona.persona_prompt)
