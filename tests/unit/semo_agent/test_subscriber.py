import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx

from semo_agent.office import LinkedOffice
from semo_agent.stopping import Stop
from semo_agent.subscriber import POLL_BLIND_S, OfficeSubscriber
from semo_office.link import Broadcast, Hint, Link
from semo_office.link.health import Health
from semo_office.link.requests import Requests
from semo_office.models import AgentCommand, ClaimedCommand, CommandStatus, CommandType, Stage
from semo_office.offices import OfficeStore
from tests.unit.semo_office.fakes import EPOCH, FakeSockets, ManualTime, make_credentials

DEADLINE_S = POLL_BLIND_S - 0.5
"""What comes later may have come by the poll."""


class ScriptedOffice(LinkedOffice):
    """Answers each claim with the next of `answers`, then with nothing."""

    def __init__(self, *answers: Sequence[ClaimedCommand]) -> None:
        self.answers = list(answers)
        self.claims = 0
        self.claimed = asyncio.Condition()

    async def claim(self) -> Sequence[ClaimedCommand]:
        self.claims += 1
        async with self.claimed:
            self.claimed.notify_all()
        return self.answers.pop(0) if self.answers else []

    async def have_been(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S), self.claimed:
            await self.claimed.wait_for(lambda: self.claims >= count)


class NoAudience:
    def on_broadcast(self, broadcast: Broadcast) -> None: ...
    def on_gap(self) -> None: ...
    def on_change(self) -> None: ...


def command() -> ClaimedCommand:
    return ClaimedCommand(
        command=AgentCommand(
            id=uuid4(),
            sequence=1,
            office_id=UUID(int=1),
            session_id=UUID(int=2),
            host_id=UUID(int=3),
            command_type=CommandType.CANCEL,
            payload={},
            urgent=True,
            status=CommandStatus.PROCESSING,
            stage=Stage.CLAIMED,
            attempt=1,
            claim_token=uuid4(),
            created_by=UUID(int=4),
            created_at=EPOCH,
            version=1,
        )
    )


@asynccontextmanager
async def claiming(office: ScriptedOffice, taken: list[AgentCommand]) -> AsyncIterator[OfficeSubscriber]:
    """A subscriber whose loop has made its first claim."""
    time, stop = ManualTime(), Stop()
    health = Health(time.now)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=[]))
    requests = await Requests.open(make_credentials, time.timing, health.note_reached, transport=transport)
    async with Link(requests, health, time.timing, FakeSockets().open) as link:
        subscriber = OfficeSubscriber(
            link,
            OfficeStore(link),
            office,
            host_id=UUID(int=3),
            stop=stop,
            take=lambda command, _remaining_ms: taken.append(command),
            audience_of=lambda _office_id: NoAudience(),
        )
        loop = asyncio.create_task(subscriber.claim_until_stop(), name="claims")
        await office.have_been(1)
        yield subscriber
        stop.set()
        await loop


async def test_a_hint_that_outran_its_command_is_looked_after_once_more() -> None:
    waiting, taken = command(), list[AgentCommand]()
    office = ScriptedOffice([], [], [waiting])
    async with claiming(office, taken) as subscriber:
        subscriber.on_hint(Hint("agent_commands", str(waiting.command.id), 1, new=True))
        await office.have_been(3)
    assert taken == [waiting.command]
