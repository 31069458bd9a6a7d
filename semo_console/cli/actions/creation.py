"""`semo new`: a session more."""

from pathlib import Path

from pydantic import ValidationError

from semo_console.cli.actions.folder import current_folder
from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.receipt import exit_code_of, summarise, to_json
from semo_console.cli.actions.wording import print_json, remark, say
from semo_console.cli.exits import ExitCode
from semo_console.errors import ConsoleError, UnreadableInput
from semo_office.commands import Outcome
from semo_office.locations import StateFolder
from semo_office.models import CreateSession


def create_session(
    state_dir: Path | None, office: str | None, *, role: str, profile: str, cwd: Path | None, as_json: bool
) -> ExitCode:
    """Start a session and wait until it is ready. Raises UnreadableInput, UnclearTarget, OfficeError."""
    request = _request(role, profile, cwd)
    outcome = at_desk(StateFolder.find(state_dir), lambda desk: _create(desk, office, request))
    if as_json:
        print_json(to_json(outcome))
    else:
        _tell(outcome)
    return exit_code_of(outcome)


def _tell(outcome: Outcome) -> None:
    if outcome.result is not None and not outcome.result.success:
        raise ConsoleError(f"The session could not be started: {outcome.result.message or outcome.result.error}")
    say(str(outcome.command.session_id))
    if outcome.result is None:
        remark(summarise(outcome))


def _request(role: str, profile: str, cwd: Path | None) -> CreateSession:
    try:
        # A relative folder is meant from here, wherever the agent runs.
        return CreateSession(role=role, profile=profile, cwd=str(current_folder() / cwd.expanduser()) if cwd else None)
    except ValidationError as err:
        fault = err.errors()[0]
        option = ".".join(str(part) for part in fault["loc"])
        raise UnreadableInput(f"--{option} can't be used: {fault['msg'].lower()}.") from err


async def _create(desk: OperatorDesk, named: str | None, request: CreateSession) -> Outcome:
    office = await desk.find_office(named)
    return await desk.dispatcher(office.id).dispatch_create_session(request, timeout=None)
