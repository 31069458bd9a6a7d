"""The operator's side of an office, for as long as one verb runs."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from semo_console.cli.actions.folder import current_folder
from semo_console.cli.actions.targets import choose_office
from semo_console.cli.garbage import collect_from_now_on
from semo_console.errors import ConsoleError
from semo_console.processes import Processes
from semo_office.commands import CommandRepository
from semo_office.config import CredentialsFile, read_supabase_settings
from semo_office.dispatcher import CommandDispatcher
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import Office
from semo_office.offices import OfficeStore
from semo_office.sessions import SessionStore

T = TypeVar("T")


@dataclass(frozen=True)
class OperatorDesk:
    """All that an operator can ask of the offices of one state folder."""

    link: Link
    commands: CommandRepository
    sessions: SessionStore
    offices: OfficeStore

    def dispatcher(self, office_id: UUID) -> CommandDispatcher:
        return CommandDispatcher(self.commands, office_id)

    async def find_office(self, named: str | None) -> Office:
        """The one named, else the one of this folder or the nearest parent. Raises UnclearTarget."""
        return choose_office(await self.offices.get_offices(), current_folder(), named)


def at_desk(state: StateFolder, work: Callable[[OperatorDesk], Coroutine[Any, Any, T]]) -> T:
    """Do `work` on a connected desk. Raises ConsoleError when nothing runs here, and OfficeError."""
    require_office(state)
    collect_from_now_on()
    return asyncio.run(_work_connected(state, work))


def require_office(state: StateFolder) -> None:
    """Raises ConsoleError when the office would be on this machine and its hub does not run."""
    if read_supabase_settings().url is None and Processes(state).find("hub") is None:
        raise ConsoleError(f"SEMO does not run here ({state.path}). Start it with `semo up`.")


async def _work_connected(state: StateFolder, work: Callable[[OperatorDesk], Coroutine[Any, Any, T]]) -> T:
    async with await Link.open(CredentialsFile(state, "operator")) as link:
        return await work(OperatorDesk(link, CommandRepository(link), SessionStore(link), OfficeStore(link)))
