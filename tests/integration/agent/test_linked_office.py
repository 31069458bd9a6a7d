"""What only the office over the link does: it tells what the machine slept before time decides anything."""

import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest

from semo_agent.errors import Superseded
from semo_agent.lease import Lease
from semo_agent.office import Claim, LinkedOffice
from semo_agent.stopping import Stop
from semo_office.models import CommandStatus
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import Party, party_on, token_of


@dataclass
class Sleeper:
    """A host whose machine sleeps, or whose process is frozen, when a test says so."""

    party: Party
    slept_s: float = 0.0
    frozen_s: float = 0.0

    def slept(self) -> float:
        slept, self.slept_s = self.slept_s, 0.0
        return slept

    def office(self) -> LinkedOffice:
        return LinkedOffice(
            self.party.host.commands,
            self.party.host.sessions,
            host_id=self.party.host_id,
            instance=self.party.instance,
            lease=Lease(lambda: time.monotonic() + self.frozen_s, time.time),
            slept=self.slept,
            stop=Stop(),
            random=random.random,
            claimable=lambda: None,
        )

    async def overdue_prompt(self) -> UUID:
        """One that could begin until half a minute ago, and was sent while the machine slept."""
        session_id = await self.party.new_session()
        command = self.party.prompt(session_id, "echo", start_by_ms=30_000)
        await self.party.operator.commands.create_command(command)
        async with await psycopg.AsyncConnection.connect(self.party.hub.superuser_conninfo) as database:
            await database.execute(
                "update agent_commands set created_at = created_at - interval '1 min',"
                " start_by = start_by - interval '1 min' where id = %s",
                [command.id],
            )
        return command.id

    async def status(self, command_id: UUID) -> CommandStatus:
        command = await self.party.operator.commands.get_command(command_id)
        assert command is not None
        return command.status


@pytest.fixture
async def sleeper(hub: RunningHub) -> AsyncIterator[Sleeper]:
    async with party_on(hub) as party:
        yield Sleeper(party)


async def test_what_became_overdue_while_the_machine_slept_is_claimed_after_all(sleeper: Sleeper) -> None:
    prompt = await sleeper.overdue_prompt()
    sleeper.slept_s = 60.0
    assert [each.command.id for each in await sleeper.office().claim()] == [prompt]


async def test_what_became_overdue_while_the_machine_slept_is_not_ended_for_it(sleeper: Sleeper) -> None:
    prompt = await sleeper.overdue_prompt()
    sleeper.slept_s = 60.0
    await sleeper.office().expire_commands()
    assert await sleeper.status(prompt) is CommandStatus.PENDING


async def test_what_is_overdue_ends_though_nobody_waits_for_it(sleeper: Sleeper) -> None:
    prompt = await sleeper.overdue_prompt()
    await sleeper.office().expire_commands()
    assert await sleeper.status(prompt) is CommandStatus.FAILED


async def test_nothing_is_typed_on_a_claim_of_a_superseded_process(sleeper: Sleeper) -> None:
    session_id = await sleeper.party.new_session()
    await sleeper.party.operator.commands.create_command(sleeper.party.prompt(session_id, "echo"))
    office = sleeper.office()
    [claimed] = await office.claim()
    await sleeper.party.host.commands.renew_leases(uuid4(), take=True)
    sleeper.frozen_s = 60.0
    with pytest.raises(Superseded):
        await office.confirm(Claim(claimed.command.id, token_of(claimed.command)))
