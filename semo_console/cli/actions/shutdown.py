"""`semo down`: stop the services; the sessions live on unless told otherwise."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.holder import ask_holder
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import describe_session, print_json, remark, say
from semo_console.errors import ProcessFailed
from semo_console.supervise import Service, ServiceState, Supervisor
from semo_office.errors import OfficeError
from semo_office.locations import StateFolder
from semo_office.models import SessionInfo

TERMINATE_DEADLINE_S = 30.0
HOLDER_GRACE_S = 1.0


@dataclass
class Stopped:
    """What one `semo down` did."""

    services: list[Service] = field(default_factory=list)
    living: list[SessionInfo] = field(default_factory=list)
    ended: list[SessionInfo] = field(default_factory=list)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "stopped": [{"name": service.name, "pid": service.pid} for service in self.services],
            "living_sessions": [str(session.session_id) for session in self.living],
            "ended_sessions": [str(session.session_id) for session in self.ended],
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
    stopped = Stopped()
    _refuse_while_starting(supervisor)
    hub, agent = supervisor.find("hub"), supervisor.find("agent")
    if end_sessions:
        stopped.ended = at_desk(supervisor.state, _end_all) if hub and agent else _nothing_to_end(hub, agent)
    elif hub:
        stopped.living = _living(supervisor.state)
    # The agent first: what it completes in its last moment needs the hub.
    for service in (agent, hub):
        if service is not None:
            supervisor.stop(service, warn=remark)
            stopped.services.append(service)
    if stopped.ended:
        # It would wait a while for new sessions; without an agent none can come.
        ask_holder(supervisor.state.agent, {"verb": "shutdown", "grace": HOLDER_GRACE_S})
    return stopped


def _refuse_while_starting(supervisor: Supervisor) -> None:
    for name in supervisor.names:
        if supervisor.look(name) is ServiceState.STARTING:
            raise ProcessFailed(f"The {name} is just starting; try again in a moment.")


def _nothing_to_end(hub: Service | None, agent: Service | None) -> list[SessionInfo]:
    if hub or agent:
        raise ProcessFailed("Only hub and agent together can end sessions. `semo up`, then this again.")
    return []


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


async def _end_all(desk: OperatorDesk) -> list[SessionInfo]:
    sessions = await _live_sessions(desk)
    # All at once: each may need its whole grace.
    await asyncio.gather(*(_end(desk, session) for session in sessions))
    return sessions


async def _end(desk: OperatorDesk, session: SessionInfo) -> None:
    dispatcher = desk.dispatcher(session.office_id)
    outcome = await dispatcher.dispatch_terminate(session.session_id, timeout=TERMINATE_DEADLINE_S)
    if outcome.result is None or not outcome.result.success:
        raise ProcessFailed(f"The session {describe_session(session)} did not end; no process was stopped.")


def _tell(stopped: Stopped) -> None:
    if not stopped.services:
        say("Nothing was running.")
        return
    say(f"Stopped: {', '.join(service.name for service in stopped.services)}.")
    if stopped.ended:
        say(f"Ended: {', '.join(describe_session(session) for session in stopped.ended)}.")
    if stopped.living:
        say(f"Living on in their terminals: {', '.join(describe_session(session) for session in stopped.living)}.")
        say("`semo up` takes them up again.")
