"""`semo status`: what runs on this machine, and how the sessions are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.census import ProcessStatus, take_census
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import STATUS_WORDS, print_json, remark, say
from semo_console.supervise import Supervisor
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.models import Office, SessionStatus


@dataclass(frozen=True)
class OfficeCount:
    """An office with its living sessions, counted by status."""

    office: Office
    sessions: Counter[SessionStatus]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "id": str(self.office.id),
            "name": self.office.name,
            "repo_path": self.office.repo_path,
            "sessions": {status.value: count for status, count in self.sessions.items()},
        }


def show_status(state_dir: Path | None, *, as_json: bool) -> None:
    """Print processes and offices; nothing running is an answer, not an error."""
    state = StateFolder.find(state_dir)
    supervisor = Supervisor(state)
    processes = take_census(supervisor)
    agent = supervisor.find("agent")
    offices = _offices(state) if supervisor.find("hub") else []
    if as_json:
        print_json(_as_json(processes, offices, agent.link if agent else None))
    else:
        _tell(processes, offices, agent.link if agent else None)


def _offices(state: StateFolder) -> list[OfficeCount]:
    try:
        return at_desk(state, _count)
    except OfficeError as err:
        remark(f"The offices can't be read: {err}")
        return []


async def _count(desk: OperatorDesk) -> list[OfficeCount]:
    return [
        OfficeCount(office, Counter(s.status for s in await desk.sessions.get_sessions_by_office(office.id)))
        for office in await desk.offices.get_offices()
    ]


def _as_json(
    processes: Sequence[ProcessStatus], offices: Sequence[OfficeCount], link: str | None
) -> dict[str, JsonValue]:
    return {
        "processes": [process.to_json() for process in processes],
        "offices": [office.to_json() for office in offices],
        "link": link,
    }


def _tell(processes: Sequence[ProcessStatus], offices: Sequence[OfficeCount], link: str | None) -> None:
    for process in processes:
        about = " ".join(part for part in (str(process.pid or ""), process.url or "") if part)
        say(f"{process.name:<9} {process.state:<9} {about}".rstrip())
    if link is not None:
        say(f"link      {link}")
    for counted in offices:
        say(f"office    {counted.office.name} ({counted.office.repo_path}): {_in_words(counted.sessions)}")


def _in_words(sessions: Counter[SessionStatus]) -> str:
    counts = [f"{count} {STATUS_WORDS[status]}" for status, count in sessions.items()]
    return ", ".join(counts) or "no sessions"
