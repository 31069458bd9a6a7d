"""Which office, session, job or member of the team an operator means."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from semo_console.cli.actions.job_words import listed
from semo_console.cli.actions.wording import describe_session
from semo_console.errors import UnclearTarget
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import Job, Office, OfficeAgent, PoolState, SessionInfo, SessionStatus


def choose_office(offices: Sequence[Office], folder: Path, named: str | None) -> Office:
    """The office with this name or id, else the one of `folder` or its nearest parent. Raises UnclearTarget."""
    return _office_named(offices, named) if named is not None else _office_around(offices, folder)


def _office_named(offices: Sequence[Office], named: str) -> Office:
    found = [office for office in offices if named in (office.name, str(office.id))]
    if len(found) == 1:
        return found[0]
    if found:
        ids = _listed(f"{office.id} ({office.repo_path})" for office in found)
        raise UnclearTarget(f"Several offices are called {named!r}: {ids}. Name one by its id.")
    raise UnclearTarget(f"There is no office {named!r}. {_what_exists(offices)}")


def _office_around(offices: Sequence[Office], folder: Path) -> Office:
    by_path = {office.repo_path: office for office in offices}
    for candidate in (folder, *folder.parents):
        if office := by_path.get(str(candidate)):
            return office
    raise UnclearTarget(
        f"{folder} belongs to no office. Start one here with `semo up`, or name one with --office. "
        + _what_exists(offices)
    )


def choose_session(
    sessions: Sequence[SessionInfo], *, chosen: str | None = None, role: str | None = None, asking: bool = False
) -> SessionInfo:
    """The session with this id or beginning of one, else one of this role, else the only one.

    asking: without a choice, one that asks something goes before the rest. Raises UnclearTarget, and
    CommandError(SESSION_NOT_FOUND).
    """
    if chosen is not None:
        return _session_beginning(sessions, chosen)
    live = [session for session in sessions if session.status is not SessionStatus.TERMINATED]
    if role is not None:
        return _session_of_role(live, role)
    asks = [session for session in live if asking and session.status is SessionStatus.WAITING_INPUT]
    return _only_session(asks or live)


def choose_job(jobs: Sequence[Job], chosen: str) -> Job:
    """The job with this id or beginning of one. Raises UnclearTarget."""
    wanted = chosen.strip().lower()
    found = [job for job in jobs if wanted and str(job.id).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnclearTarget(f"Several jobs begin with {chosen!r}: {listed(found)}. Give more of the id.")
    raise UnclearTarget(f"There is no job {chosen!r}. `semo job list --all` lists them.")


def choose_member(team: Sequence[OfficeAgent], chosen: str) -> OfficeAgent:
    """Who has this name, else this id or beginning of one. Raises UnclearTarget."""
    wanted = chosen.strip()
    found = [member for member in team if member.name == wanted]
    found = found or [member for member in team if wanted and str(member.id).startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        ids = _listed(str(member.id) for member in found)
        raise UnclearTarget(f"Several of the team are meant by {chosen!r}: {ids}. Give an id.")
    names = _listed(member.name for member in team)
    who = f"There are: {names}." if names else "`semo team add --role ROLE` adds somebody."
    raise UnclearTarget(f"Nobody of the team is called {chosen!r}. {who}")


def _session_beginning(sessions: Sequence[SessionInfo], chosen: str) -> SessionInfo:
    wanted = chosen.strip().lower()
    found = [session for session in sessions if wanted and str(session.session_id).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnclearTarget(f"Several sessions begin with {chosen!r}: {_sessions_listed(found)}. Give more of the id.")
    live = [session for session in sessions if session.status is not SessionStatus.TERMINATED]
    raise CommandError(ErrorCode.SESSION_NOT_FOUND, f"There is no session {chosen!r}. {_which_sessions(live)}")


def _session_of_role(live: Sequence[SessionInfo], role: str) -> SessionInfo:
    of_role = [session for session in live if session.role == role]
    if not of_role:
        raise CommandError(ErrorCode.SESSION_NOT_FOUND, f"No session has the role {role!r}. {_which_roles(live)}")
    # A ready one begins at once, and one that no job waits for; of several, the one that has rested longest.
    return min(
        of_role,
        key=lambda session: (
            session.status is not SessionStatus.READY,
            session.pool_state is not None,
            session.last_activity_at,
        ),
    )


def _only_session(sessions: Sequence[SessionInfo]) -> SessionInfo:
    # Spares wait for jobs: one is meant only by name, or when there is nothing else.
    meant = [session for session in sessions if session.pool_state is not PoolState.SPARE] or sessions
    if len(meant) == 1:
        return meant[0]
    if sessions:
        raise UnclearTarget(
            f"Several sessions are there: {_sessions_listed(sessions)}. Name one with --session or --role."
        )
    raise CommandError(ErrorCode.SESSION_NOT_FOUND, "This office has no session. Start one with `semo new`.")


def _which_sessions(live: Sequence[SessionInfo]) -> str:
    return f"There are: {_sessions_listed(live)}." if live else "The office has none; `semo new` starts one."


def _which_roles(live: Sequence[SessionInfo]) -> str:
    roles = _listed(sorted({session.role for session in live}))
    return f"There are: {roles}." if roles else "The office has no session; `semo new --role ROLE` starts one."


def _what_exists(offices: Sequence[Office]) -> str:
    return f"There are: {_listed(office.name for office in offices)}." if offices else "There is none yet."


def _sessions_listed(sessions: Iterable[SessionInfo]) -> str:
    return _listed(describe_session(session) for session in sessions)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
