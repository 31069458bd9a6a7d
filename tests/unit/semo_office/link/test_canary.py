from semo_office.errors import LinkError, RequestRejected
from semo_office.link.canary import ANSWER_S, SILENCE_S, UNPROVEN_S
from semo_office.link.hints import FLAPPING_S, WATCHDOG_S
from tests.unit.semo_office.fakes import FakeSockets, ManualTime, settle
from tests.unit.semo_office.link.test_hints import is_joined, supervised

# With a chance of one half every patience is exactly as long as it is named.


async def test_a_join_is_proven_by_a_ring_of_its_own_when_nothing_else_is_heard() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, _):
        await time.advance(UNPROVEN_S * 0.9)
        assert (sockets.rings, hints.proven) == (0, False)
        await time.advance(UNPROVEN_S * 0.2)
        assert (sockets.rings, hints.proven) == (1, True)


async def test_whatever_is_heard_soon_after_a_join_proves_it_without_a_ring() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, _):
        await time.advance(UNPROVEN_S / 2)
        sockets.last.hint("agent_commands", "a", 1)
        await time.advance(UNPROVEN_S)
        assert (sockets.rings, hints.proven) == (0, True)


async def test_an_office_is_rung_once_for_each_minute_of_silence() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time):
        await time.advance(UNPROVEN_S + 10 * SILENCE_S)
        assert sockets.rings == 1 + 10
        assert len(sockets.opened) == 1


async def test_nobody_rings_while_anything_is_heard() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time):
        await time.advance(UNPROVEN_S / 2)
        for _ in range(30):
            sockets.last.canary()
            await time.advance(SILENCE_S / 2)
        assert sockets.rings == 0


async def test_however_many_listen_an_office_is_rung_by_one_of_them() -> None:
    first_time, sockets = ManualTime(chance=0.0), FakeSockets()
    async with supervised(sockets, first_time):
        others = [FakeSockets() for _ in range(4)]
        await first_time.advance(SILENCE_S)
        rings = sockets.rings
        # The others are more patient by their jitter, and hear what the first one made the office send.
        for each in others:
            patient = ManualTime(chance=0.9)
            async with supervised(each, patient):
                await patient.advance(UNPROVEN_S / 2)
                for _ in range(20):
                    each.last.canary()
                    await patient.advance(SILENCE_S * 0.9)
                assert each.rings == 0
        assert rings >= 1


async def test_a_socket_that_hears_no_ring_is_replaced() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, recorder):
        await time.advance(UNPROVEN_S)
        sockets.deaf = True
        await time.advance(SILENCE_S + ANSWER_S * 0.9)
        assert len(sockets.opened) == 1
        await time.advance(ANSWER_S * 0.1)
        assert not is_joined(hints)
        assert "not heard" in str(hints.last_fault)
        sockets.deaf = False
        await time.advance(0.25 + UNPROVEN_S)
        assert hints.proven
        assert len(sockets.opened) == 2
        assert recorder.gaps == 2


async def test_anything_that_comes_answers_a_ring() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time):
        await time.advance(UNPROVEN_S)
        sockets.deaf = True
        await time.advance(SILENCE_S + ANSWER_S / 2)
        sockets.last.hint("agent_commands", "a", 1)
        await time.advance(ANSWER_S)
        assert len(sockets.opened) == 1


async def test_a_ring_that_fails_says_nothing_against_the_socket() -> None:
    for failure in (LinkError("away"), RequestRejected("no such function")):
        time, sockets = ManualTime(), FakeSockets()

        async def fail(failure: Exception = failure) -> None:
            raise failure

        sockets.ring = fail  # type: ignore[method-assign] # the fault that this test is about
        async with supervised(sockets, time) as (hints, _):
            await time.advance(3 * SILENCE_S)
            assert len(sockets.opened) == 1
            assert hints.proven


async def test_a_subscription_that_never_hears_anything_counts_as_failing() -> None:
    time, sockets = ManualTime(), FakeSockets()
    sockets.deaf = True
    async with supervised(sockets, time):
        lasts = UNPROVEN_S + ANSWER_S
        assert lasts > FLAPPING_S
        await time.advance(40 * lasts)
        # Were each of them taken for one that held, there would be forty.
        assert 5 <= len(sockets.opened) <= 20


async def test_when_the_office_answers_again_a_subscription_that_stands_is_proven_anew() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, recorder):
        await time.advance(UNPROVEN_S)
        sockets.deaf, changes = True, recorder.changes
        hints.hurry()
        await settle()
        assert not hints.proven
        assert recorder.changes > changes
        await time.advance(UNPROVEN_S + ANSWER_S)
        assert not is_joined(hints)


async def test_a_stop_does_not_wait_for_a_ring() -> None:
    time, sockets = ManualTime(), FakeSockets()

    async def hang() -> None:
        await time.sleep(3600.0)

    sockets.ring = hang  # type: ignore[method-assign] # the fault that this test is about
    async with supervised(sockets, time):
        await time.advance(UNPROVEN_S)


async def test_after_a_sleep_of_the_machine_the_socket_is_replaced_at_the_next_look() -> None:
    time, sockets = ManualTime(), FakeSockets()
    async with supervised(sockets, time) as (hints, recorder):
        await time.advance(10 * WATCHDOG_S)
        time.slept = 3600.0
        await time.advance(WATCHDOG_S + 0.25)
        assert len(sockets.opened) == 2
        assert hints.joined
        assert recorder.gaps == 2
        await time.advance(10 * WATCHDOG_S)
        assert len(sockets.opened) == 2
