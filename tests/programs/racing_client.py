"""One of several clients that race: sends numbered prompts to all sessions in turn, without waiting for any.

racing_client.py STATE_DIR OFFICE NAME COUNT SESSION...
"""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from semo_office.commands import CommandRepository
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.link import Link
from semo_office.locations import StateFolder


async def race(state: Path, office: UUID, name: str, count: int, sessions: list[UUID]) -> None:
    async with await Link.open(CredentialsFile(StateFolder(state), "operator")) as link:
        dispatcher = CommandDispatcher(CommandRepository(link), office)
        for number in range(count):
            session = sessions[number % len(sessions)]
            await dispatcher.dispatch_send_prompt(session, f"{name} {number:03}")


if __name__ == "__main__":
    _, state_dir, office_id, client_name, prompt_count, *session_ids = sys.argv
    asyncio.run(
        race(Path(state_dir), UUID(office_id), client_name, int(prompt_count), [UUID(one) for one in session_ids])
    )
