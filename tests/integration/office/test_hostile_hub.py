"""The link against a hub that closes, refuses, freezes, lies and dies: no row is lost, and none comes late.

In each test rows are written before, during and after a fault. From the moment that the connection is possible again
they have 5 s, at the longest waits that chance may choose. Letters are those of the library's known defects.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from realtime.types import BroadcastPayload

from semo_office.link import LinkState
from semo_office.link.hints import FLAPPING_S
from semo_office.link.socket import Inbox
from tests.integration.hub_fixture import RunningHub, end_hub, start_hub
from tests.integration.office.following import becomes
from tests.integration.office.relay import Frame, join_error
from tests.integration.office.scene import AT_ONCE, DELIVERED_S, LOAD_S, Scene, nothing, report, scene_on

SYSTEM_ERROR = {"channel": "x", "status": "error"}


@pytest.fixture
async def scene(office_hub: RunningHub) -> AsyncIterator[Scene]:
    async with scene_on(office_hub) as scene:
        yield scene


async def test_without_a_fault_nothing_is_between(scene: Scene) -> None:
    await scene.survives(nothing)
    assert scene.hub.relay.opened == 1
    assert scene.far.link.status.state is LinkState.LIVE


# The network


async def test_a_connection_that_is_dropped(scene: Scene) -> None:
    async def drop() -> None:
        scene.hub.wire.drop()

    await scene.survives(drop)
    await scene.is_live_again()


async def test_a_hub_that_cannot_be_reached_for_a_while(scene: Scene) -> None:
    async def refuse() -> None:
        await scene.hub.wire.refuse()
        await becomes(scene.far.link, LinkState.OFFLINE)

    await scene.survives(refuse, scene.hub.wire.listen, for_s=6.0)
    await scene.is_live_again()


async def test_a_hub_that_accepts_and_says_nothing(scene: Scene) -> None:
    async def freeze() -> None:
        scene.hub.wire.freeze()

    async def thaw() -> None:
        scene.hub.wire.thaw()

    await scene.survives(freeze, thaw, for_s=6.0)
    await scene.is_live_again()


async def test_a_hub_that_stalls_in_the_middle_of_a_message(scene: Scene) -> None:
    async def stall() -> None:
        scene.hub.wire.stall_after(40)

    async def thaw() -> None:
        assert not scene.hub.wire.flows
        scene.hub.wire.thaw()

    await scene.survives(stall, thaw, for_s=2.0)
    await scene.is_live_again()


async def test_a_network_that_forgets_its_connections_while_it_is_away(scene: Scene) -> None:
    """The requests notice that the office was away; what stands open is dead, and neither end is told."""

    async def lose() -> None:
        scene.hub.wire.strand()
        scene.hub.wire.answer_rest(503)
        await becomes(scene.far.link, LinkState.OFFLINE, within_s=30.0)

    async def heal() -> None:
        scene.hub.wire.answer_rest(None)

    await scene.survives(lose, heal)
    await scene.is_told_that_the_socket_failed()
    await scene.is_live_again()
    assert scene.hub.relay.opened > 1


async def test_a_machine_that_slept_and_finds_its_connections_gone(scene: Scene) -> None:
    async def sleep() -> None:
        # Several connections are open: each of them is dead when it wakes.
        await asyncio.gather(*(scene.far.commands.get_command(scene.session_id) for _ in range(8)))
        scene.hub.wire.strand()
        scene.clock.slept += timedelta(hours=1)

    await scene.survives(sleep)
    await scene.is_live_again()
    assert scene.hub.relay.opened > 1


async def test_a_slow_network(scene: Scene) -> None:
    async def slow_down() -> None:
        scene.hub.wire.delay_s = 0.3

    await scene.survives(slow_down)
    await scene.is_live_again()


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_requests_that_are_answered_with_a_fault_while_hints_arrive(scene: Scene, status: int) -> None:
    async def fail() -> None:
        scene.hub.wire.answer_rest(status)

    async def heal() -> None:
        assert scene.hub.wire.turned_away
        scene.hub.wire.answer_rest(None)

    await scene.survives(fail, heal, for_s=3.0)
    await scene.is_live_again()


async def test_a_hub_that_is_started_again(tmp_path: Path) -> None:
    hub = await asyncio.to_thread(start_hub, tmp_path / "state")
    port = int(hub.url.rsplit(":", 1)[1])
    try:
        async with scene_on(hub) as scene:
            before = await scene.write()
            await asyncio.to_thread(hub.stop)
            await becomes(scene.far.link, LinkState.OFFLINE)
            hub.process = (await asyncio.to_thread(start_hub, tmp_path / "state", port=port)).process
            began = time.monotonic()
            await scene.follower.tells(*before, *await scene.write(), within_s=DELIVERED_S + LOAD_S)
            report(time.monotonic() - began)
            await scene.is_live_again()
    finally:
        await asyncio.to_thread(end_hub, hub)


# The token


async def test_a_token_that_ends_while_it_is_connected_is_read_anew_before_the_next_join(
    office_hub: RunningHub,
) -> None:
    async with scene_on(office_hub, ttl_s=2.0) as scene:

        async def wait_for_the_refusal() -> None:
            await scene.is_told_that_the_socket_failed()

        await scene.survives(wait_for_the_refusal)
        await becomes(scene.far.link, LinkState.LIVE)
        tokens = [join["payload"]["access_token"] for join in scene.hub.relay.joins]
        assert len(tokens) >= 2
        assert len(set(tokens)) == len(tokens)


# What the server of Realtime says


async def test_a_channel_that_the_server_closes(scene: Scene) -> None:
    async def close() -> None:
        await scene.hub.relay.say("phx_close", {})

    await scene.survives(close)
    await scene.is_live_again()


async def test_a_channel_that_crashed_on_the_server(scene: Scene) -> None:
    async def crash() -> None:
        await scene.hub.relay.say("phx_error", {})

    await scene.survives(crash)
    await scene.is_live_again()


@pytest.mark.parametrize("rubbish", ["no json", "[1,2]", '{"topic":7}', "{}", b"\x00\xff", '{"event":"phx_reply"}'])
async def test_frames_that_are_rubbish(scene: Scene, rubbish: str | bytes) -> None:
    async def talk_rubbish() -> None:
        await scene.hub.relay.say_raw(rubbish)

    await scene.survives(talk_rubbish)
    await scene.is_live_again()


async def test_every_second_hint_is_dropped(scene: Scene) -> None:
    heard: list[Frame] = []

    def drops(frame: Frame) -> bool:
        if frame["event"] == "broadcast":
            heard.append(frame)
        return frame["event"] == "broadcast" and len(heard) % 2 == 0

    async def begin() -> None:
        scene.hub.relay.drops = drops

    await scene.survives(begin)
    assert len(heard) >= 2 * AT_ONCE
    assert scene.far.link.status.state is LinkState.LIVE


async def test_broadcasts_that_are_swallowed_while_the_socket_seems_well(scene: Scene) -> None:
    """Heartbeats are answered, and the channel is joined: only a ring that nobody hears shows it."""

    async def swallow() -> None:
        scene.hub.relay.drops = lambda frame: frame["event"] == "broadcast"
        await scene.joins_anew()
        await scene.is_told_that_the_socket_failed()

    async def heal() -> None:
        scene.hub.relay.drops = lambda _: False

    await scene.survives(swallow, heal)
    await scene.is_live_again()


# The defects of the library


async def test_a_callback_that_raises_kills_the_listener_and_is_seen_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A."""
    hear = Inbox.hear

    def fail_once(inbox: Inbox, payload: BroadcastPayload) -> None:
        monkeypatch.setattr(Inbox, "hear", hear)
        raise KeyError("a mistake in a callback")

    async def plant() -> None:
        # Callbacks are bound at the join.
        monkeypatch.setattr(Inbox, "hear", fail_once)
        await scene.joins_anew()

    await scene.survives(plant)
    await scene.is_live_again()
    assert scene.hub.relay.opened == 3


async def test_an_error_shutdown_of_the_server_is_joined_again(scene: Scene) -> None:
    """B."""

    async def shut_down() -> None:
        await scene.hub.relay.say(
            "system", {**SYSTEM_ERROR, "extension": "system", "message": "Token has expired 0 seconds ago"}
        )
        await scene.hub.relay.say("phx_close", {})

    await scene.survives(shut_down)
    await scene.is_live_again()
    assert len(scene.hub.relay.joins) == 2


async def test_an_error_on_a_channel_that_stays_up_does_not_flap(scene: Scene) -> None:
    """C."""

    async def complain() -> None:
        await scene.hub.relay.say("system", {**SYSTEM_ERROR, "extension": "postgres_changes", "message": "no table"})

    await scene.survives(complain)
    await scene.is_live_again()
    assert len(scene.hub.relay.joins) == 2


async def test_the_close_of_an_earlier_join_does_not_end_the_link(scene: Scene) -> None:
    """D."""

    async def close_the_earlier() -> None:
        await scene.hub.relay.say("system", {**SYSTEM_ERROR, "extension": "postgres_changes", "message": "no table"})
        await scene.hub.relay.say("phx_close", {}, join_ref="0", ref="0")

    await scene.survives(close_the_earlier)
    await scene.is_live_again()


async def test_a_message_that_is_too_large_costs_one_connection(scene: Scene) -> None:
    """E."""

    async def send_it() -> None:
        await scene.hub.relay.say("broadcast", {"event": "hint", "payload": {"text": "x" * (1024 * 1024 + 1)}})

    await scene.survives(send_it)
    await scene.is_live_again()
    assert scene.hub.relay.opened == 2


async def test_more_failed_tries_than_the_library_makes_are_no_end(office_hub: RunningHub) -> None:
    """F. Only sockets are refused: what is written meanwhile comes by the poll."""
    async with scene_on(office_hub, chance=0.2) as scene:

        async def turn_away() -> None:
            scene.hub.wire.turn_sockets_away()
            while scene.hub.wire.turned_away < 6:
                await scene.follower.tells(*await scene.write(), within_s=DELIVERED_S + LOAD_S)

        async def heal() -> None:
            scene.hub.wire.mend()

        await scene.survives(turn_away, heal)
        await scene.is_live_again()


@pytest.mark.parametrize("reason", ["Unauthorized: no", "ClientJoinRateLimitReached: Too many joins"])
async def test_joins_that_are_refused(scene: Scene, reason: str) -> None:
    """G. Not even a rate limit makes it wait half a minute longer than its own patience."""

    async def refuse() -> None:
        scene.hub.relay.answers_join = join_error(reason)
        scene.hub.wire.drop(rest=False)
        await scene.is_told_that_the_socket_failed()

    async def heal() -> None:
        scene.hub.relay.answers_join = None

    await scene.survives(refuse, heal, for_s=2.0)
    await scene.is_live_again()


async def test_a_join_that_is_never_answered(scene: Scene) -> None:
    """G."""

    async def ignore() -> None:
        scene.hub.relay.answers_join = lambda _: None
        scene.hub.wire.drop(rest=False)
        await scene.is_told_that_the_socket_failed()

    async def heal() -> None:
        scene.hub.relay.answers_join = None

    await scene.survives(ignore, heal, for_s=2.0)
    await scene.is_live_again()


async def test_a_socket_that_dies_while_a_token_is_sent_leaves_no_second_one(office_hub: RunningHub) -> None:
    """H."""
    # So near to its end a token is sent again at every look.
    async with scene_on(office_hub, ttl_s=60.0) as scene:
        struck = asyncio.Event()

        def die_of(frame: Frame) -> None:
            if frame["event"] == "access_token" and not struck.is_set():
                scene.hub.wire.drop(rest=False)
                struck.set()

        async def strike() -> None:
            scene.hub.relay.on_sent = die_of
            async with asyncio.timeout(20):
                await struck.wait()

        await scene.survives(strike)
        await scene.is_live_again()
        assert scene.hub.relay.open_now == 1


async def test_nothing_is_sent_but_joins_heartbeats_and_tokens(office_hub: RunningHub) -> None:
    """I, J, L: nothing waits in the library's buffers, no broadcast needs its answer, and no channel is removed."""
    async with scene_on(office_hub, ttl_s=60.0) as scene:

        async def drop() -> None:
            await scene.hub.relay.is_sent("access_token")
            scene.hub.wire.drop()

        await scene.survives(drop)
        await scene.is_live_again()
        assert {frame["event"] for frame in scene.hub.relay.sent} == {"phx_join", "heartbeat", "access_token"}


async def test_a_token_is_not_sent_before_the_join_is_answered(office_hub: RunningHub) -> None:
    """I."""
    async with scene_on(office_hub, ttl_s=60.0) as scene:
        scene.hub.relay.answers_join = lambda _: None
        scene.hub.relay.sent.clear()
        scene.hub.wire.drop(rest=False)
        await scene.is_told_that_the_socket_failed()
        await scene.hub.relay.is_sent("phx_join")
        await asyncio.sleep(FLAPPING_S)
        assert {frame["event"] for frame in scene.hub.relay.sent} == {"phx_join", "heartbeat"}


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 4000])
async def test_a_socket_that_the_server_closes_with_any_code(scene: Scene, code: int) -> None:
    """K."""

    async def close() -> None:
        await scene.hub.relay.close_sockets(code)

    await scene.survives(close)
    await scene.is_live_again()
    assert scene.hub.relay.opened == 2


async def test_the_end_of_one_office_is_not_the_end_of_another(scene: Scene) -> None:
    """L: each office has a socket of its own."""
    other = await scene.party.operator.offices.create_office("other", f"/repo/{uuid4()}")
    scene.far.link.subscribe(other.id)
    await becomes(scene.far.link, LinkState.LIVE)

    async def end_the_other() -> None:
        await scene.hub.relay.close_sockets(1011, f"realtime:office:{other.id}")

    await scene.survives(end_the_other)
    await scene.is_live_again()
    topics = [join["topic"] for join in scene.hub.relay.joins]
    assert topics.count(f"realtime:office:{scene.party.office_id}") == 1
    assert topics.count(f"realtime:office:{other.id}") == 2


async def test_the_library_neither_signs_in_nor_refreshes_a_session(office_hub: RunningHub) -> None:
    """M, N: its timer, which stops without a word, never runs; tokens come from the source alone."""
    async with scene_on(office_hub, ttl_s=2.0) as scene:
        for _ in range(3):
            await scene.is_told_that_the_socket_failed()
            await becomes(scene.far.link, LinkState.LIVE)
        paths = scene.hub.wire.rest_paths
        assert paths
        assert all(path.startswith("/rest/v1/") for path in paths)
        assert scene.far.identity.reads >= len(scene.hub.relay.joins) >= 4
