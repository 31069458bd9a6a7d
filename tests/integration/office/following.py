"""Someone who follows a table, and what a test may wait for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from semo_office.link import Link, LinkState, Row


class Following:
    """The rows that a watch has told."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._told = asyncio.Condition()

    async def consume(self, link: Link, table: str, office_id: UUID) -> None:
        async for row in link.watch(table, office_id=office_id, key="id"):
            async with self._told:
                self.rows.append(row)
                self._told.notify_all()

    async def tells(self, *ids: UUID, within_s: float = 20.0) -> None:
        """Until each of these rows was told at least once."""
        wanted = {str(each) for each in ids}
        await self.comes_to(lambda rows: wanted <= {row["id"] for row in rows}, within_s)

    async def comes_to(self, condition: Callable[[Iterable[Row]], bool], within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s), self._told:
            await self._told.wait_for(lambda: condition(self.rows))


@asynccontextmanager
async def following(link: Link, office_id: UUID, table: str = "agent_commands") -> AsyncIterator[Following]:
    """Follow while the block runs, and end the link with it."""
    follower = Following()
    task = asyncio.create_task(follower.consume(link, table, office_id), name=f"follow {table}")
    try:
        yield follower
    finally:
        await link.close()
        await task


async def becomes(link: Link, state: LinkState, within_s: float = 20.0) -> None:
    reached = asyncio.Event()
    leave = link.on_status(lambda status: reached.set() if status.state is state else None)
    async with asyncio.timeout(within_s):
        await reached.wait()
    leave()
