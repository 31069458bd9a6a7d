"""`semo sessions dismiss`, `semo sessions forget`: sessions that nobody needs any more."""

from pathlib import Path

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import print_json, remark, short_id
from semo_office.locations import StateFolder
from semo_office.models import SessionInfo
from semo_office.pool import PoolStore


def dismiss_session(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> None:
    """Let the pool end what a job left. Raises UnclearTarget, CommandError(SESSION_NOT_FOUND, CONFLICT)."""
    session = at_desk(StateFolder.find(state_dir), lambda desk: _dismiss(desk, office, chosen))
    if as_json:
        print_json(session.model_dump(mode="json"))
    else:
        remark(f"Session {short_id(session)} is dismissed; the pool ends it when it has rested long enough.")


def forget_sessions(state_dir: Path | None, office: str | None, *, as_json: bool) -> None:
    """Call what a lost host left ended. Raises UnclearTarget, OfficeError."""
    count = at_desk(StateFolder.find(state_dir), lambda desk: _forget(desk, office))
    if as_json:
        print_json({"forgotten": count})
    elif count:
        remark(f"{count} {'session' if count == 1 else 'sessions'} forgotten; `semo sessions --all` shows them.")
    else:
        remark("Nothing to forget: every session's host was seen within 10 minutes.")


async def _dismiss(desk: OperatorDesk, named: str | None, chosen: str) -> SessionInfo:
    office = await desk.find_office(named)
    sessions = await desk.sessions.get_sessions_by_office(office.id, with_ended=True)
    return await PoolStore(desk.link).dismiss(choose_session(sessions, chosen=chosen).session_id)


async def _forget(desk: OperatorDesk, named: str | None) -> int:
    office = await desk.find_office(named)
    return await PoolStore(desk.link).forget(office.id)
