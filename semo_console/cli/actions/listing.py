"""`semo sessions`: the sessions of an office."""

from pathlib import Path

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import STATUS_WORDS, print_json, print_table, remark, short_id
from semo_office.locations import StateFolder
from semo_office.models import PoolState, SessionInfo, SessionStatus

_WORTH_SAYING = (PoolState.SPARE, PoolState.KEPT)


def list_sessions(state_dir: Path | None, office: str | None, *, with_ended: bool, as_json: bool) -> None:
    """Print the sessions, oldest first. Raises UnclearTarget, OfficeError."""
    sessions = at_desk(StateFolder.find(state_dir), lambda desk: _sessions(desk, office, with_ended))
    if as_json:
        print_json([session.model_dump(mode="json") for session in sessions])
    elif not sessions:
        remark("No sessions. `semo new` starts one.")
    else:
        print_table([_row(session) for session in sessions])


async def _sessions(desk: OperatorDesk, named: str | None, with_ended: bool) -> list[SessionInfo]:
    office = await desk.find_office(named)
    return await desk.sessions.get_sessions_by_office(office.id, with_ended=with_ended)


def _row(session: SessionInfo) -> tuple[str, ...]:
    word = STATUS_WORDS[session.status]
    if session.pool_state in _WORTH_SAYING and session.status is not SessionStatus.TERMINATED:
        word = f"{word}, {'dismissed' if session.dismissed_at else session.pool_state}"
    return (short_id(session), session.role, word, session.profile, session.cwd, session.reason or "")
