"""`semo cancel`: stop a turn, or take back a command that has not begun."""

from pathlib import Path
from uuid import UUID

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.receipt import exit_code_of, summarise, to_json
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import print_json, remark
from semo_console.cli.exits import ExitCode
from semo_office.commands import Outcome
from semo_office.locations import StateFolder
from semo_office.models import SessionInfo, SessionStatus

_BUSY = (SessionStatus.EXECUTING, SessionStatus.WAITING_INPUT)


def cancel_turn(state_dir: Path | None, chosen: str | None, office: str | None, as_json: bool) -> ExitCode:
    """Stop what runs in the session, and wait until it is back at its prompt."""
    outcome = at_desk(StateFolder.find(state_dir), lambda desk: _cancel(desk, chosen, office))
    if as_json:
        print_json(to_json(outcome))
    else:
        was_idle = outcome.result is not None and bool((outcome.result.result or {}).get("was_idle"))
        remark("Nothing ran there; nothing was sent." if was_idle else f"Cancel: {summarise(outcome)}")
    return exit_code_of(outcome)


def take_back(state_dir: Path | None, command_id: UUID, as_json: bool) -> ExitCode:
    """Take back a command that has not begun. Raises CommandError when it has."""
    outcome = at_desk(StateFolder.find(state_dir), lambda desk: _take_back(desk, command_id))
    if as_json:
        print_json(to_json(outcome))
    else:
        remark("Taken back before it began.")
    return ExitCode.OK


async def _cancel(desk: OperatorDesk, chosen: str | None, named: str | None) -> Outcome:
    office = await desk.find_office(named)
    sessions = await desk.sessions.get_sessions_by_office(office.id)
    session = choose_session(_worth_cancelling(sessions, chosen), chosen=chosen)
    return await desk.dispatcher(office.id).dispatch_cancel(session.session_id, timeout=None)


def _worth_cancelling(sessions: list[SessionInfo], chosen: str | None) -> list[SessionInfo]:
    """Without a choice, the sessions in which something runs."""
    busy = [session for session in sessions if session.status in _BUSY]
    return busy if chosen is None and busy else sessions


async def _take_back(desk: OperatorDesk, command_id: UUID) -> Outcome:
    await desk.commands.cancel_command(command_id)
    return await desk.commands.get_outcome(command_id)
