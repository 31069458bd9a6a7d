"""`semo down`: stop the services; the sessions live on unless told otherwise."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.holder import end_holder
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import SHORT_ID, describe_session, print_json, remark, say
from semo_console.errors import ProcessFailed
from semo_console.supervise import Service, ServiceState, Supervisor
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.models import SessionInfo

TERMINATE_DEADLINE_S = 30.0


@dataclass
class Stopped:
    """What one `semo down` did; sessions by id."""

    services: list[Service] = field(default_factory=list)
    living: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "stopped": [{"name": service.name, "pid": service.pid} for service in self.services],
            "living_sessions": list(self.living),
            "ended_sessions": list(self.ended),
        }


def shut_down(state_dir: Path | None, *, end_sessions: bool, as_json: bool) -> None:
    """Stop agent and hub and print what lives on. Raises ProcessFailed, OfficeError."""
    state = StateFolder.find(state_dir)
    stopped = Stopped()
    if state.run.is_dir():
        supervisor = Supervisor(state)
        with supervisor.turn():
            stopped = _stop(supervisor, end_sessions)
    if as_json:
        print_json(stopped.to_json())
    else:
        _tell(stopped)


def _stop(supervisor: Supervisor, end_sessions: bool) -> Stopped:
    _refuse_while_starting(supervisor)
    stopped = Stopped()
    hub, agent = supervisor.find("hub"), supervisor.find("agent")
    if end_sessions and hub and agent:
        stopped.ended = at_desk(supervisor.state, _end_all)
    elif hub and not end_sessions:
        stopped.living = _living(supervisor.state)
    # The agent first: what it completes in its last moment needs the hub.
    for service in (agent, hub):
        if service is not None:
            supervisor.stop(service, warn=remark)
            stopped.services.append(service)
    if end_sessions:
        # What the agent could not end itself; the next one finds it gone and says so.
        stopped.ended += end_holder(supervisor.state.agent)
    return stopped


def _refuse_while_starting(supervisor: Supervisor) -> None:
    for name in supervisor.names:
        if supervisor.look(name) is ServiceState.STARTING:
            raise ProcessFailed(f"The {name} is just starting; try again in a moment.")


def _living(state: StateFolder) -> list[str]:
    try:
        return [str(session.session_id) for session in at_desk(state, _live_sessions)]
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
    services = ", ".join(service.name for service in stopped.services)
    say(f"Stopped: {services}." if services else "Nothing was running.")
    if stopped.ended:
        say(f"Ended sessions: {_listed(stopped.ended)}.")
    if stopped.living:
        say(f"Sessions that live on in their terminals: {_listed(stopped.living)}.")
        say("`semo up` takes them up again; `semo down --end-sessions` ends them.")


def _listed(session_ids: list[str]) -> str:
    return ", ".join(session_id[:SHORT_ID] for session_id in session_ids)
