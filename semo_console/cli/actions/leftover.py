"""A PostgreSQL whose hub was killed: on most systems it ends by itself, and `semo down` makes sure."""

from semo_console.births import birth_of
from semo_console.errors import ProcessFailed
from semo_console.processes import is_locked
from semo_office.locations import StateFolder


def find_postmaster(state: StateFolder) -> int | None:
    """The pid in the data folder, if it is that of a living process."""
    try:
        first = (state.path / "postgres" / "data" / "postmaster.pid").read_text().partition("\n")[0].strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return int(first) if first.isdecimal() and birth_of(int(first)) else None


def stop_left_over_postgres(state: StateFolder) -> None:
    """Stop it, when no hub runs that it belongs to. Raises ProcessFailed."""
    if find_postmaster(state) is None or is_locked(state.hub / "lock"):
        return
    from semo_hub.errors import HubError
    from semo_hub.postgres import Postgres

    try:
        Postgres(state.path / "postgres").clear_left_over()
    except HubError as err:
        raise ProcessFailed(str(err)) from err
