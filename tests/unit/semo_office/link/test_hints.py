import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from semo_office.config import Credentials
from semo_office.errors import ConfigurationError, LinkError
from semo_office.link.hints import FLAPPING_S, RENEW_BEFORE, WATCHDOG_S, OfficeHints
from semo_office.link.socket import Broadcast, Hint
from tests.unit.semo_office.fakes import EPOCH, FakeSockets, ManualTime, make_credentials, settle

OFFICE = UUID(int=1)


@dataclass(eq=False)
class Recorder:
    """A listener that writes down what it is told."""

    hints: list[Hint] = field(default_factory=list)
    gaps: int = 0
    changes: int = 0

    def on_hint(self, hint: Hint) -> None:
        self.hints.append(hint)

    def on_gap(self) -> None:
        self.gaps += 1

    def on_change(self) -> None:
        self.changes += 1


def is_joined(hints: OfficeHints) -> bool:
    """A question of its own each time: mypy takes what it saw once to last."""
    return hints.joined


async def same_credentials() -> Credentials:
    return make_credentials()


@asynccontextmanager
async def supervised(
    sockets: FakeSockets, time: ManualTime, renew: Callable[[], Awaitable[Credentials]] = same_credentials
) -> AsyncIterator[tuple[OfficeHints, Recorder]]:
    hints = OfficeHints(OFFICE, sockets.open, renew, sockets.ring, time.timing, lambda: None)
    recorder = Recorder()
    hints.add(recorder)
    task = asyncio.create_task(hints.run())
    await settle()
    try:
        yield hints, recorder
    finally:
        hints.stop()
        async with asyncio.timeout(5):
            await task
        assert all(socket.closed for socket in sockets.opened)


async def test_the_private_topic_of_the_office_is_joined() -> None:
    sockets = FakeSockets()
    async with supervised(sockets, ManualTime()) as (hints, _):
        assert sockets.last.topic == f"office:{OFFICE}"
        assert hints.joined


async def test_every_join_is_a_gap_because_what_came_before_went_unheard() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (_, recorder):
        assert recorder.gaps == 1
        sockets.last.break_down()
        await time.advance(1.0)
        assert recorder.gaps == 2


async def test_hints_reach_every_listener() -> None:
    sockets = FakeSockets()
    async with supervised(sockets, ManualTime()) as (hints, first):
        second = Recorder()
        hints.add(second)
        sockets.last.hint("agent_commands", "a", 1)
        await settle()
        assert first.hints == second.hints == [Hint("agent_commands", "a", 1)]


async def test_a_broadcast_that_is_no_hint_is_passed_over() -> None:
    sockets = FakeSockets()
    async with supervised(sockets, ManualTime()) as (hints, recorder):
        sockets.last.inbox.hear({"event": "hint", "payload": {"table": 7}})
        sockets.last.hint("agent_commands", "a", 1)
        await settle()
        assert len(recorder.hints) == 1
        assert hints.joined


@dataclass(eq=False)
class Ear:
    heard: list[Broadcast] = field(default_factory=list)
    gaps: int = 0

    def on_broadcast(self, broadcast: Broadcast) -> None:
        self.heard.append(broadcast)

    def on_gap(self) -> None:
        self.gaps += 1

    def on_change(self) -> None:
        pass


async def test_broadcasts_reach_who_hears_and_are_no_hints() -> None:
    sockets, ear = FakeSockets(), Ear()
    async with supervised(sockets, ManualTime()) as (hints, recorder):
        hints.hear(ear)
        sockets.last.broadcast("output", {"a": 1})
        await settle()
        hints.unhear(ear)
        sockets.last.broadcast("output", {"a": 2})
        await settle()
        assert ear.heard == [Broadcast("output", {"a": 1})]
        assert recorder.hints == []


async def test_more_broadcasts_than_the_inbox_holds_become_a_gap() -> None:
    sockets, ear = FakeSockets(), Ear()
    async with supervised(sockets, ManualTime()) as (hints, _):
        hints.hear(ear)
        for number in range(500):
            sockets.last.broadcast("output", {"n": number})
        await settle()
        assert (len(ear.heard), ear.gaps) == (200, 1)


async def test_what_is_sent_goes_out_while_the_topic_is_joined_and_is_an_error_else() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, _):
        await hints.send("output", {"a": 1})
        assert sockets.last.sent == [("output", {"a": 1})]
        sockets.last.break_down()
        await settle()
        with pytest.raises(LinkError):
            await hints.send("output", {"a": 2})


async def test_more_hints_than_the_inbox_holds_become_a_gap() -> None:
    sockets = FakeSockets()
    async with supervised(sockets, ManualTime()) as (_, recorder):
        for number in range(1500):
            sockets.last.hint("agent_commands", str(number), number)
        await settle()
        assert len(recorder.hints) == 1000
        assert recorder.gaps == 2


@pytest.mark.parametrize("reason", ["CLOSED", "CHANNEL_ERROR", "TIMED_OUT"])
async def test_a_channel_that_ends_is_replaced_within_a_quarter_of_a_second(reason: str) -> None:
    time, sockets = ManualTime(chance=0.99), FakeSockets()
    async with supervised(sockets, time) as (hints, _):
        await time.advance(FLAPPING_S)
        sockets.last.break_down(reason)
        await settle()
        assert not is_joined(hints)
        assert sockets.opened[0].closed
        await time.advance(0.25)
        assert is_joined(hints)
        assert len(sockets.opened) == 2


async def test_a_listener_that_died_without_a_word_is_found_by_the_watchdog() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, _):
        sockets.last.die_silently()
        await time.advance(WATCHDOG_S + 1.0)
        assert len(sockets.opened) == 2
        assert hints.joined


async def test_the_watchdog_looks_also_while_hints_keep_coming() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time):
        sockets.last.die_silently()
        for number in range(int(WATCHDOG_S) + 2):
            sockets.opened[0].hint("agent_commands", "a", number)
            await time.advance(1.0)
        assert len(sockets.opened) == 2


async def test_a_join_that_is_refused_is_tried_again_without_end() -> None:
    time, sockets = ManualTime(chance=0.99), FakeSockets(*["forbidden"] * 40)
    async with supervised(sockets, time) as (hints, _):
        for _ in range(40):
            await time.advance(60.0)
        assert len(sockets.opened) == 41
        assert hints.joined


async def test_flapping_counts_as_failing() -> None:
    time, sockets = ManualTime(chance=0.99), FakeSockets()
    async with supervised(sockets, time) as (hints, _):
        waits = []
        for _ in range(6):
            assert is_joined(hints)
            sockets.last.break_down()
            await settle()
            before = time.elapsed
            while not is_joined(hints):
                await time.advance(0.25)
            waits.append(time.elapsed - before)
        assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]


async def test_a_subscription_that_held_makes_the_next_retry_quick_again() -> None:
    time, sockets = ManualTime(chance=0.99), FakeSockets(*["forbidden"] * 6)
    async with supervised(sockets, time) as (hints, _):
        while not hints.joined:
            await time.advance(1.0)
        await time.advance(FLAPPING_S)
        sockets.last.break_down()
        await time.advance(0.25)
        assert hints.joined


async def test_an_office_that_answers_again_is_joined_at_once() -> None:
    time, sockets = ManualTime(chance=0.99), FakeSockets(*["forbidden"] * 5)
    async with supervised(sockets, time) as (hints, _):
        await time.advance(6.0)
        before = time.elapsed
        assert not is_joined(hints)
        hints.hurry()
        await settle()
        assert is_joined(hints)
        assert time.elapsed == before


async def test_a_token_near_its_end_is_renewed_on_the_socket_that_stands() -> None:
    time, sockets = ManualTime(), FakeSockets()
    sockets.expires_at = EPOCH + RENEW_BEFORE + timedelta(seconds=1.5 * WATCHDOG_S)

    async def renew() -> Credentials:
        return make_credentials("newer", lasts_s=7200)

    async with supervised(sockets, time, renew):
        await time.advance(WATCHDOG_S)
        assert sockets.last.tokens == []
        await time.advance(WATCHDOG_S)
        assert sockets.last.tokens == ["newer"]
        await time.advance(3 * WATCHDOG_S)
        assert sockets.last.tokens == ["newer"]
        assert len(sockets.opened) == 1


async def test_credentials_that_can_not_be_read_are_a_reason_to_try_again() -> None:
    time, sockets = ManualTime(), FakeSockets()
    sockets.expires_at = EPOCH

    async def renew() -> Credentials:
        raise ConfigurationError("operator.json does not exist.")

    async with supervised(sockets, time, renew) as (hints, _):
        await time.advance(WATCHDOG_S)
        assert hints.last_fault == "operator.json does not exist."
        await time.advance(1.0)
        assert len(sockets.opened) == 2


async def test_a_stop_ends_a_wait_between_two_tries() -> None:
    time, sockets = ManualTime(chance=0.99), FakeSockets(*["forbidden"] * 9)
    async with supervised(sockets, time) as (_, recorder):
        await time.advance(3.0)
        before = recorder.changes
    assert recorder.changes > before
