"""`semo down`: stop the processes; the sessions live on unless told otherwise."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.holder import end_holder
from semo_console.cli.actions.leftover import stop_left_over_postgres
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import SHORT_ID, STATUS_WORDS, describe_session, print_json, remark, say
from semo_console.errors import ProcessFailed
from semo_console.processes import Process, Processes, ProcessName
from semo_console.supervisor.client import stop_supervisor
from semo_console.supervisor.record import left_behind, read_supervisor_record
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.models import SessionInfo, SessionStatus

TERMINATE_DEADLINE_S = 30.0

# The hub last: what the others complete in their last moment needs it.
_SERVICES: tuple[ProcessName, ...] = ("server", "agent", "hub")


@dataclass
class Stopped:
    """What one `semo down` did; ended sessions by id."""

    processes: list[Process] = field(default_factory=list)
    living: list[SessionInfo] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "stopped": [{"name": process.name, "pid": process.pid} for process in self.processes],
            "living_sessions": [str(session.session_id) for session in self.living],
            "working_sessions": self._in(SessionStatus.EXECUTING),
            "asking_sessions": self._in(SessionStatus.WAITING_INPUT),
            "ended_sessions": list(self.ended),
        }

    def _in(self, status: SessionStatus) -> list[JsonValue]:
        return [str(session.session_id) for session in self.living if session.status is status]


def shut_down(state_dir: Path | None, *, end_sessions: bool, as_json: bool) -> None:
    """Stop agent, hub and supervisor and print what lives on. Raises ProcessFailed, OfficeError."""
    state = StateFolder.find(state_dir)
    stopped = Stopped()
    if state.run.is_dir():
        processes = Processes(state)
        with processes.turn():
            stopped = _stop(processes, end_sessions)
    if as_json:
        print_json(stopped.to_json())
    else:
        _tell(stopped)


def _stop(processes: Processes, end_sessions: bool) -> Stopped:
    supervisor = processes.settle("supervisor")
    hub, agent = processes.find("hub"), processes.find("agent")
    stopped = Stopped()
    if end_sessions and hub and agent:
        stopped.ended = at_desk(processes.state, _end_all)
    elif hub and not end_sessions:
        stopped.living = _living(processes.state)
    elif not end_sessions and (supervisor or agent):
        remark("Which sessions work can't be told: the hub does not run.")
    stopped.processes = _stop_processes(processes, supervisor)
    stop_left_over_postgres(processes.state)
    if end_sessions:
        # What the agent could not end itself; the next one finds it gone and says so.
        stopped.ended += end_holder(processes.state.agent)
    return stopped


def _stop_processes(processes: Processes, supervisor: Process | None) -> list[Process]:
    found = [process for name in _SERVICES if (process := processes.find(name))]
    if supervisor:
        _stop_supervised(processes, supervisor, found)
        found.append(supervisor)
    # Those of a killed supervisor, which end by themselves, and what somebody has started in the foreground.
    for left in left_behind(processes):
        processes.stop(left, warn=remark)
        if all(left.pid != process.pid for process in found):
            found.append(left)
    for name in _SERVICES:
        if left_over := processes.settle(name):
            processes.stop(left_over, warn=remark)
    return found


def _stop_supervised(processes: Processes, supervisor: Process, found: list[Process]) -> None:
    record = read_supervisor_record(processes)
    own = {service.pid for service in record.services if service.birth} if record else set()
    agent = next((process for process in found if process.name == "agent"), None)
    if agent and agent.pid not in own:
        processes.stop(agent, warn=remark)
    stop_supervisor(processes, supervisor, warn=remark)


def _living(state: StateFolder) -> list[SessionInfo]:
    try:
        return at_desk(state, _live_sessions)
    except OfficeError as err:
        # Stopping matters more than the list; a sick hub is a reason to stop it.
        remark(f"Which sessions live on can't be told: {err}")
        return []


async def _live_sessions(desk: OperatorDesk) -> list[SessionInfo]:
    return [
        session
        for office in await desk.offices.get_offices()
        for session in await desk.sessions.get_sessions_by_office(office.id)
    ]


async def _end_all(desk: OperatorDesk) -> list[str]:
    sessions = await _live_sessions(desk)
    # All at once: each may need its whole grace.
    await asyncio.gather(*(_end(desk, session) for session in sessions))
    return [str(session.session_id) for session in sessions]


async def _end(desk: OperatorDesk, session: SessionInfo) -> None:
    dispatcher = desk.dispatcher(session.office_id)
    outcome = await dispatcher.dispatch_terminate(session.session_id, timeout=TERMINATE_DEADLINE_S)
    if outcome.result is None or not outcome.result.success:
        raise ProcessFailed(f"The session {describe_session(session)} did not end; no process was stopped.")


def _tell(stopped: Stopped) -> None:
    names = ", ".join(process.name for process in stopped.processes)
    say(f"Stopped: {names}." if names else "Nothing was running.")
    if stopped.ended:
        say(f"Ended sessions: {_listed(stopped.ended)}.")
    if stopped.living:
        say(f"Sessions that live on in their terminals: {_by_state(stopped.living)}.")
        say("`semo up` takes them up again; `semo down --end-sessions` ends them.")


def _by_state(sessions: list[SessionInfo]) -> str:
    """`working 1f2e3d4c; idle 5b6a7988, …`: what works and what asks comes first."""
    ids: dict[SessionStatus, list[str]] = defaultdict(list)
    for session in sessions:
        ids[session.status].append(str(session.session_id))
    first = (SessionStatus.EXECUTING, SessionStatus.WAITING_INPUT)
    order = sorted(ids, key=lambda status: first.index(status) if status in first else len(first))
    return "; ".join(f"{STATUS_WORDS[status]} {_listed(ids[status])}" for status in order)


def _listed(session_ids: list[str]) -> str:
    return ", ".join(session_id[:SHORT_ID] for session_id in session_ids)
