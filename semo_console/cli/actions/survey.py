"""`semo status`: what runs on this machine, and how the sessions are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.census import ProcessStatus, take_census
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import STATUS_WORDS, print_json, remark, say
from semo_console.processes import Process, Processes
from semo_office.errors import OfficeError
from semo_office.link import LinkState
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
    processes = Processes(state)
    census = take_census(processes)
    agent = processes.find("agent")
    offices = _offices(state) if processes.find("hub") else []
    if as_json:
        print_json(_as_json(census, offices, agent))
    else:
        _tell(census, offices, agent)


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
    census: Sequence[ProcessStatus], offices: Sequence[OfficeCount], agent: Process | None
) -> dict[str, JsonValue]:
    return {
        "processes": [process.to_json() for process in census],
        "offices": [office.to_json() for office in offices],
        "terminal": agent.terminal if agent else None,
        "terminal_why": agent.terminal_why if agent else None,
        "link": agent.link if agent else None,
        "link_since": agent.link_since if agent else None,
        "api": next((process.url for process in census if process.name == "server"), None),
    }


def _tell(census: Sequence[ProcessStatus], offices: Sequence[OfficeCount], agent: Process | None) -> None:
    for process in census:
        about = "  ".join(part for part in (str(process.pid or ""), process.url or "", _history(process)) if part)
        say(f"{process.name:<10} {process.state:<11} {about}".rstrip())
    if agent and agent.terminal:
        say(f"terminal   {agent.terminal}" + (f" ({agent.terminal_why})" if agent.terminal_why else ""))
    if agent and agent.link:
        say(f"link       {_link_in_words(agent.link, agent.link_since)}")
    for counted in offices:
        say(f"office     {counted.office.name} ({counted.office.repo_path}): {_in_words(counted.sessions)}")


def _history(process: ProcessStatus) -> str:
    """How often it was started again, why, and when that is tried next."""
    known = process.supervised
    if known is None or known.last_exit is None:
        return ""
    times = f"restarted {known.restarts} times, " if known.restarts else ""
    next_try = f"; next try at {_time_of_day(known.next_try_at)}" if known.next_try_at else ""
    why = known.last_exit.why.rstrip(".")
    return f"({times}last ended at {_time_of_day(known.last_exit.at)}: {why}{next_try})"


def _link_in_words(link: str, since: str | None) -> str:
    words = link.replace("_", " ")
    return words if since is None or link == LinkState.LIVE else f"{words} since {_time_of_day(since)}"


def _time_of_day(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")


def _in_words(sessions: Counter[SessionStatus]) -> str:
    counts = [f"{count} {STATUS_WORDS[status]}" for status, count in sessions.items()]
    return ", ".join(counts) or "no sessions"
