"""Breakers through the real link: what the store reads and changes, and who is told."""

import asyncio

import pytest

from semo_office.breaker import Breaker, BreakerStore, CircuitState
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import CreateSession
from tests.integration.office.conftest import Party, token_of

DEADLINE_S = 25.0


async def fail_to_start(party: Party) -> None:
    await party.dispatcher.dispatch_create_session(CreateSession(profile="claude"))
    command = await party.claim_one()
    await party.host.commands.complete_command(
        command.id, token_of(command), error=ErrorCode.LAUNCH_FAILED, message="클로드가 없습니다."
    )


async def only_breaker(party: Party) -> Breaker:
    [breaker] = await BreakerStore(party.operator.link).breakers(party.office_id)
    return breaker


async def test_an_operator_is_told_of_a_cli_that_is_paused_and_lifts_it(party: Party) -> None:
    async with party.operator.link.expect(party.office_id, ("circuit_breakers", party.host_id)) as change:
        for _ in range(3):
            await fail_to_start(party)
        async with asyncio.timeout(DEADLINE_S):
            while not await change.next(DEADLINE_S):
                pass
    with pytest.raises(CommandError, match="클로드가 없습니다") as caught:
        await party.dispatcher.dispatch_create_session(CreateSession(profile="claude"))
    assert caught.value.code is ErrorCode.BREAKER_OPEN
    paused = await only_breaker(party)
    assert (paused.state, paused.failures, paused.manual) == (CircuitState.OPEN, 3, False)
    assert 0 < (paused.retry_in_ms or 0) <= 60_000
    reset = await BreakerStore(party.operator.link).reset(party.office_id, party.host_id, "claude")
    assert (reset.state, reset.failures) == (CircuitState.CLOSED, 0)
    await party.dispatcher.dispatch_create_session(CreateSession(profile="claude"))


async def test_an_operator_pauses_a_cli_that_never_failed(party: Party) -> None:
    await BreakerStore(party.operator.link).open(party.office_id, party.host_id, "claude", "the licence ran out")
    paused = await only_breaker(party)
    assert (paused.state, paused.reason, paused.manual) == (CircuitState.OPEN, "the licence ran out", True)
    assert paused.retry_in_ms is None
