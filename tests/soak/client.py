"""One client of the soak: sends its plan, waits for every result, and writes down each one when it has it.

Killed and started again it goes on: what it did not write down it sends again under the same ids.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from uuid import UUID

from semo_office.commands import CommandRepository, Outcome
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, LinkError
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import GetOutput, SendText
from tests.soak.plan import Item, read_plan

AT_ONCE = 24
"""Commands that a client waits for at the same time."""
AGAIN_S = 0.2


class Client:
    def __init__(self, dispatcher: CommandDispatcher, log: Path) -> None:
        self._dispatcher = dispatcher
        self._log = log
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self, items: list[Item]) -> None:
        async with asyncio.TaskGroup() as group:
            for item in items:
                await self._places.acquire()
                group.create_task(self._settle(item), name=f"client: {item.command_id}")

    async def _settle(self, item: Item) -> None:
        try:
            told = await self._insist(item)
        finally:
            self._places.release()
        entry = {"id": str(item.command_id), **told}
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps(entry).encode() + b"\n")
        finally:
            os.close(descriptor)

    async def _insist(self, item: Item) -> dict[str, object]:
        """Until the office answers: a command that may have been written is written again, under its id."""
        while True:
            try:
                if item.twice:
                    first, _ = await asyncio.gather(self._send(item), self._send(item))
                    return _told(first)
                return _told(await self._send(item))
            except LinkError:
                await asyncio.sleep(AGAIN_S)
            except CommandError as err:
                return {"refused": err.code}

    async def _send(self, item: Item) -> Outcome:
        session_id, office = item.session_id, self._dispatcher
        if item.kind == "prompt":
            return await office.dispatch_send_prompt(
                session_id, item.text, timeout=None, until_input=False, command_id=item.command_id
            )
        if item.kind == "text":
            request = SendText(text=item.text)
            return await office.dispatch_send_text(session_id, request, timeout=None, command_id=item.command_id)
        if item.kind == "cancel":
            return await office.dispatch_cancel(session_id, timeout=None, command_id=item.command_id)
        return await office.dispatch_get_output(session_id, GetOutput(), timeout=None, command_id=item.command_id)


def _told(outcome: Outcome) -> dict[str, object]:
    assert outcome.result is not None, outcome
    return {"success": outcome.result.success, "error": outcome.result.error}


def left_to_do(plan: Path, log: Path) -> list[Item]:
    done = {json.loads(line)["id"] for line in log.read_text().splitlines()} if log.exists() else set()
    return [item for item in read_plan(plan) if str(item.command_id) not in done]


async def main(state: Path, office_id: UUID, plan: Path, log: Path) -> None:
    items = await asyncio.to_thread(left_to_do, plan, log)
    async with await Link.open(CredentialsFile(StateFolder(state), "operator")) as link:
        await Client(CommandDispatcher(CommandRepository(link), office_id), log).run(items)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(main(Path(arguments[0]), UUID(arguments[1]), Path(arguments[2]), Path(arguments[3])))
