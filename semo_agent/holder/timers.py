"""Actions at a later time."""

import heapq
from collections.abc import Callable


class Timers:
    """A heap of actions by monotonic time in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._count = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        # The count keeps actions of the same time in order, and actions themselves uncompared.
        self._count += 1
        heapq.heappush(self._heap, (self.now() + seconds, self._count, action))

    def until_next(self) -> float | None:
        """Seconds to the next action; None when there is none."""
        return max(0.0, self._heap[0][0] - self.now()) if self._heap else None

    def take_due(self) -> list[Callable[[], None]]:
        """The actions whose time has come."""
        due = []
        now = self.now()
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due
