from dataclasses import dataclass, field
from uuid import UUID, uuid4

from semo_agent.audience import MOST_WATCHERS, WATCH_S, Audience
from semo_office.events import WatchEvent
from semo_office.link import Broadcast
from tests.unit.semo_office.fakes import ManualTime

ANN, BEN, ONE, TWO = uuid4(), uuid4(), uuid4(), uuid4()


@dataclass
class Hall:
    time: ManualTime = field(default_factory=ManualTime)
    news: int = 0

    def __post_init__(self) -> None:
        self.audience = Audience(uuid4(), self.time.timing.clock, self._note)

    def _note(self) -> None:
        self.news += 1

    def watch(self, watcher: UUID, *session_ids: UUID, resync: tuple[UUID, ...] = ()) -> None:
        event = WatchEvent(watcher=watcher, session_ids=session_ids, resync=resync)
        self.audience.on_broadcast(Broadcast("watch", event.model_dump(mode="json")))


def test_what_anybody_watches_is_watched_and_a_watcher_is_counted_once() -> None:
    hall = Hall()
    hall.watch(ANN, ONE)
    hall.watch(BEN, ONE, TWO)
    hall.watch(BEN, TWO)
    assert hall.audience.watched() == {ONE, TWO}
    assert hall.audience.receivers == 2


async def test_a_watch_that_is_not_renewed_ends() -> None:
    hall = Hall()
    hall.watch(ANN, ONE)
    await hall.time.advance(WATCH_S - 1)
    hall.watch(BEN, TWO)
    await hall.time.advance(1.0)
    assert hall.audience.watched() == {TWO}


def test_what_a_watcher_did_not_watch_before_it_needs_as_a_whole() -> None:
    hall = Hall()
    hall.watch(ANN, ONE)
    assert hall.audience.take_resync(hall.audience.watched()) == {ONE}
    hall.watch(ANN, ONE)
    assert hall.audience.resync == set()
    hall.watch(ANN, ONE, TWO)
    assert hall.audience.resync == {TWO}
    hall.watch(ANN, ONE, TWO, resync=(ONE,))
    assert hall.audience.resync == {ONE, TWO}


async def test_a_watcher_that_slept_through_its_watch_needs_everything_again() -> None:
    hall = Hall()
    hall.watch(ANN, ONE)
    hall.audience.take_resync({ONE})
    await hall.time.advance(WATCH_S)
    hall.watch(ANN, ONE)
    assert hall.audience.resync == {ONE}


def test_a_renewal_that_says_nothing_new_wakes_nobody() -> None:
    hall = Hall()
    hall.watch(ANN, ONE)
    hall.audience.take_resync({ONE})
    before = hall.news
    hall.watch(ANN, ONE)
    assert hall.news == before


def test_watchers_are_greeted_once_and_get_everything_after_each_gap() -> None:
    hall = Hall()
    hall.audience.on_gap()
    assert hall.audience.must_greet
    hall.audience.must_greet = False
    hall.watch(ANN, ONE)
    hall.audience.take_resync({ONE})
    hall.audience.on_gap()
    assert (hall.audience.must_greet, hall.audience.resync) == (False, {ONE})


def test_a_message_of_a_version_that_is_not_known_is_passed_over() -> None:
    hall = Hall()
    hall.audience.on_broadcast(Broadcast("watch", {"v": 2, "watcher": str(ANN), "session_ids": [str(ONE)]}))
    hall.audience.on_broadcast(Broadcast("watch", {"v": 1}))
    assert hall.audience.receivers == 0


def test_however_many_watch_the_memory_is_bounded() -> None:
    hall = Hall()
    for _ in range(MOST_WATCHERS + 50):
        hall.watch(uuid4(), ONE)
    assert hall.audience.receivers == MOST_WATCHERS
