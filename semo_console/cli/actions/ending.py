"""`semo terminate`: the end of a session."""

from pathlib import Path

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.receipt import exit_code_of, summarise, to_json
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import SHORT_ID, print_json, remark
from semo_console.cli.exits import ExitCode
from semo_office.commands import Outcome
from semo_office.locations import StateFolder


def terminate_session(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> ExitCode:
    """End the session, and wait until its program is gone. Raises UnclearTarget, OfficeError."""
    outcome = at_desk(StateFolder.find(state_dir), lambda desk: _terminate(desk, office, chosen))
    if as_json:
        print_json(to_json(outcome))
    else:
        remark(f"Terminate {str(outcome.command.session_id)[:SHORT_ID]}: {summarise(outcome)}")
    return exit_code_of(outcome)


async def _terminate(desk: OperatorDesk, named: str | None, chosen: str) -> Outcome:
    office = await desk.find_office(named)
    sessions = await desk.sessions.get_sessions_by_office(office.id, with_ended=True)
    session = choose_session(sessions, chosen=chosen)
    return await desk.dispatcher(office.id).dispatch_terminate(session.session_id, timeout=None)
