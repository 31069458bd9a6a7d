"""Whether the machine slept: the wall clock goes on then, and the monotonic clock stands."""

from collections.abc import Callable
from typing import Final

SLEEP_MIN_S: Final = 5.0


class SleepWatch:
    """Two clocks compared, both in s. What is shorter than 5 s is not told from a clock that is being set right."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._ahead = self._wall_ahead()

    def slept(self) -> float:
        """How long the machine slept since the last call, s; 0.0: it did not, or the clock was set back."""
        before, self._ahead = self._ahead, self._wall_ahead()
        asleep = self._ahead - before
        return asleep if asleep >= SLEEP_MIN_S else 0.0

    def _wall_ahead(self) -> float:
        return self._wall() - self._monotonic()
