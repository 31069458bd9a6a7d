"""`semo migrate`: the tables on any PostgreSQL."""

import asyncio
import os
from pathlib import Path

from semo_console.cli.actions.wording import remark, say
from semo_console.errors import ConsoleError, UnreadableInput
from semo_hub.errors import HubError
from semo_hub.migrations import find_sql_folder, migrate

URL_VARIABLE = "SEMO_DATABASE_URL"


def migrate_database(database_url: str | None) -> None:
    """Apply what is missing, in order. Raises UnreadableInput without an address, ConsoleError when it fails."""
    address = database_url or os.environ.get(URL_VARIABLE)
    if not address:
        raise UnreadableInput(f"Which database? Set {URL_VARIABLE}, or give --database-url.")
    applied = _apply(address, find_sql_folder())
    for name in applied:
        say(name)
    remark(f"{len(applied)} applied." if applied else "Everything was applied before.")


def _apply(address: str, folder: Path) -> list[str]:
    try:
        return asyncio.run(migrate(address, folder))
    except HubError as err:
        raise ConsoleError(str(err)) from err
