"""Topics, listeners and outboxes."""

import asyncio
import json

from semo_hub.exchange import MAX_FRAME, Exchange, Outbox, Topic, frame, stored_payload

ROOM = Topic("room", private=True)


class Ear:
    """A listener that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    def deliver(self, frame: str) -> None:
        self.frames.append(frame)


def test_a_broadcast_reaches_everyone_on_its_topic_but_the_sender() -> None:
    exchange, sender, other, elsewhere = Exchange(), Ear(), Ear(), Ear()
    exchange.join(ROOM, sender)
    exchange.join(ROOM, other)
    exchange.join(Topic("room", private=False), elsewhere)
    exchange.broadcast(ROOM, '{"n": 1}', sender=sender)
    assert [len(ear.frames) for ear in (sender, other, elsewhere)] == [0, 1, 0]
    message = {"topic": "realtime:room", "event": "broadcast", "payload": {"n": 1}, "ref": None}
    assert json.loads(other.frames[0]) == message


def test_who_left_hears_nothing_and_may_leave_again() -> None:
    exchange, ear = Exchange(), Ear()
    exchange.join(ROOM, ear)
    exchange.leave(ROOM, ear)
    exchange.leave(ROOM, ear)
    exchange.broadcast(ROOM, "{}")
    assert ear.frames == []


def test_a_frame_that_would_break_the_client_is_not_sent() -> None:
    exchange, ear = Exchange(), Ear()
    exchange.join(ROOM, ear)
    exchange.broadcast(ROOM, json.dumps({"text": "한" * (MAX_FRAME // 3)}, ensure_ascii=False))
    exchange.broadcast(ROOM, json.dumps({"text": "x" * (MAX_FRAME // 2)}))
    assert len(ear.frames) == 1


async def test_an_outbox_gives_back_what_was_put_in_order() -> None:
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    outbox.put("first")
    outbox.put("second")
    assert (await taking, await outbox.take()) == ("first", "second")
    assert not outbox.overflowed.is_set()


async def test_an_outbox_that_nobody_empties_overflows() -> None:
    by_number, by_size = Outbox(), Outbox()
    for _ in range(3000):
        by_number.put("x")
    for _ in range(10):
        by_size.put("x" * 1_000_000)
    assert by_number.overflowed.is_set()
    assert by_size.overflowed.is_set()


def test_a_stored_payload_is_passed_on_as_the_database_wrote_it() -> None:
    payload = stored_payload("some-id", 'a "quoted" event', '{"n": 1.50}')
    assert '"payload":{"n": 1.50}' in payload
    content = json.loads(payload)
    assert (content["type"], content["event"], content["meta"]) == (
        "broadcast",
        'a "quoted" event',
        {"id": "some-id"},
    )


def test_no_text_breaks_a_frame() -> None:
    made = frame('realtime:"}', "system", {"message": "half a \ud800 pair"}, ref=None)
    assert json.loads(made.encode())["topic"] == 'realtime:"}'
