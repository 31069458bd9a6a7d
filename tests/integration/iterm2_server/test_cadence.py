"""When a changed screen is told, by a clock that the test turns."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.iterm2_server.cadence import Cadence
from tests.iterm2_server.session import Session

FAST, SLOW = 30.0, 1.0
SESSION = cast("Session", object())


class TurnedClock:
    """Time passes only by `turn`."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        timer = (when, callback, args)
        self._timers.append(timer)
        return cast("asyncio.TimerHandle", _Cancellable(lambda: self._timers.remove(timer)))

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((timer for timer in self._timers if timer[0] <= end), key=lambda timer: timer[0]):
            self._timers.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1](*due[0][2])
        self.now = end


class _Cancellable:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


class Drawn:
    """A session whose screen changes, and when that was told: s since the beginning."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.visible = True
        self.told: list[float] = []
        self.cadence = Cadence(FAST, SLOW, self.clock)
        self.cadence.tell = lambda session: self.told.append(round(self.clock.now - 100.0, 2))
        self.cadence.sees = lambda session: self.visible

    def changes(self, *, during: float, every: float) -> None:
        for _ in range(round(during / every)):
            self.cadence.changed(SESSION)
            self.clock.turn(every)


@pytest.fixture
def drawn() -> Drawn:
    return Drawn()


def test_changes_of_a_visible_session_are_told_thirty_times_a_second(drawn: Drawn) -> None:
    drawn.changes(during=1.0, every=0.001)

    assert 29 <= len(drawn.told) <= 31


def test_changes_of_a_hidden_session_are_told_once_a_second(drawn: Drawn) -> None:
    drawn.visible = False

    drawn.changes(during=3.5, every=0.01)

    assert drawn.told == [1.0, 2.0, 3.0]


def test_a_visible_session_that_was_idle_waits_for_the_slow_clock(drawn: Drawn) -> None:
    drawn.changes(during=0.1, every=0.1)
    drawn.told.clear()
    drawn.clock.turn(10.2)

    drawn.changes(during=1.0, every=0.1)

    assert drawn.told[0] == 11.0
    assert len(drawn.told) > 1


def test_nothing_is_told_without_a_change(drawn: Drawn) -> None:
    drawn.changes(during=0.1, every=0.1)
    before = list(drawn.told)

    drawn.clock.turn(60)

    assert drawn.told == before


def test_a_session_that_is_shown_is_told_at_once(drawn: Drawn) -> None:
    drawn.visible = False
    drawn.cadence.changed(SESSION)
    drawn.clock.turn(0.4)
    assert drawn.told == []

    drawn.visible = True
    drawn.cadence.reconsider()
    drawn.clock.turn(0.1)

    assert drawn.told == [0.4]
