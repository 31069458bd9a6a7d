"""`semo office …`: offices of this operator."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.folder import current_folder
from semo_console.cli.actions.furnishing import Furnishing
from semo_console.cli.actions.job_words import JOB_WORDS
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.startup import checked_name
from semo_console.cli.actions.wording import SHORT_ID, STATUS_WORDS, print_json, print_table, remark, say
from semo_console.errors import ConsoleError, UnreadableInput
from semo_console.processes import Process, Processes
from semo_office.agents import AgentService
from semo_office.jobs import JobService
from semo_office.locations import StateFolder
from semo_office.models import Office


@dataclass(frozen=True)
class Overview:
    """An office and how much of everything it has. `jobs` and `sessions`: by state, as a person reads it."""

    office: Office
    hosts: tuple[str, ...]
    team: tuple[str, ...]
    sessions: dict[str, int]
    jobs: dict[str, int]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            **self.office.model_dump(mode="json"),
            "hosts": list(self.hosts),
            "team": list(self.team),
            "sessions": dict(self.sessions),
            "jobs": dict(self.jobs),
        }


def create_office(state_dir: Path | None, path: Path | None, name: str | None, *, as_json: bool) -> None:
    """Make an office of a folder and print its id. Raises UnreadableInput, ConsoleError, OfficeError."""
    folder = current_folder() if path is None else path.expanduser().resolve()
    if not folder.is_dir():
        raise UnreadableInput(f"{folder} is not a folder; an office is made of a folder that is there.")
    called = checked_name(folder.name or "/" if name is None else name, "--name")
    processes = Processes(StateFolder.find(state_dir))
    office = at_desk(processes.state, lambda desk: _create(processes, desk, folder, called))
    if as_json:
        print_json(office.model_dump(mode="json"))
    else:
        say(str(office.id))
        remark(f"{office.name} is an office ({office.repo_path}).")


def list_offices(state_dir: Path | None, *, with_archived: bool, as_json: bool) -> None:
    """Print the offices, oldest first. Raises OfficeError."""
    offices = at_desk(StateFolder.find(state_dir), lambda desk: desk.offices.get_offices())
    shown = [office for office in offices if with_archived or office.archived_at is None]
    if as_json:
        print_json([office.model_dump(mode="json") for office in shown])
    elif not shown:
        remark("No office. `semo up` makes one of a folder, `semo office list --all` shows those that are archived.")
    else:
        print_table([_row(office) for office in shown])


def show_office(state_dir: Path | None, chosen: str | None, *, as_json: bool) -> None:
    """Print one office. Raises UnclearTarget, OfficeError."""
    overview = at_desk(StateFolder.find(state_dir), lambda desk: _overview(desk, chosen))
    if as_json:
        print_json(overview.to_json())
    else:
        _tell(overview)


def archive_office(state_dir: Path | None, chosen: str | None, *, as_json: bool) -> None:
    """Put an office away. Raises UnclearTarget, CommandError(CONFLICT) while jobs run."""

    async def archive(desk: OperatorDesk) -> Office:
        return await desk.offices.archive_office((await desk.find_office(chosen)).id)

    _tell_change(at_desk(StateFolder.find(state_dir), archive), as_json=as_json)


def restore_office(state_dir: Path | None, chosen: str | None, *, as_json: bool) -> None:
    """Open an archived office again. Raises UnclearTarget, OfficeError."""

    async def restore(desk: OperatorDesk) -> Office:
        return await desk.offices.restore_office((await desk.find_office(chosen)).id)

    _tell_change(at_desk(StateFolder.find(state_dir), restore), as_json=as_json)


async def _create(processes: Processes, desk: OperatorDesk, folder: Path, name: str) -> Office:
    return await Furnishing(processes, desk).open_office(_agent(processes), folder, name)


def _agent(processes: Processes) -> Process:
    agent = processes.find("agent")
    if agent is None:
        raise ConsoleError("No agent runs here that could serve an office. Start it with `semo up`.")
    return agent


async def _overview(desk: OperatorDesk, chosen: str | None) -> Overview:
    office = await desk.find_office(chosen)
    sessions = await desk.sessions.get_sessions_by_office(office.id)
    jobs = await JobService(desk.link).get_jobs(office.id)
    return Overview(
        office,
        hosts=tuple(placed.host.name for placed in await desk.offices.hosts(office.id)),
        team=tuple(member.name for member in await AgentService(desk.link).get_agents_by_office(office.id)),
        sessions=Counter(STATUS_WORDS[session.status] for session in sessions),
        jobs=Counter(JOB_WORDS[job.status] for job in jobs),
    )


def _tell(overview: Overview) -> None:
    office = overview.office
    say(f"{office.id}  {office.name}{'  archived' if office.archived_at else ''}")
    say(f"folder: {office.repo_path}")
    say(f"hosts: {', '.join(overview.hosts) or 'none'}")
    say(f"team: {', '.join(overview.team) or 'nobody yet'}")
    say(f"sessions: {_counted(overview.sessions)}")
    say(f"jobs: {_counted(overview.jobs)}")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "none"


def _tell_change(office: Office, *, as_json: bool) -> None:
    if as_json:
        print_json(office.model_dump(mode="json"))
    elif office.archived_at is None:
        remark(f"{office.name} is open.")
    else:
        remark(f"{office.name} is archived. `semo office restore {office.name}` opens it again.")


def _row(office: Office) -> tuple[str, ...]:
    return (str(office.id)[:SHORT_ID], office.name, office.repo_path, "archived" if office.archived_at else "")
