"""How many messages a second may be sent."""

from collections.abc import Callable
from typing import Final

BURST_S: Final = 0.5


class Budget:
    """A token bucket that may go into debt: who spent too much waits before spending more.

    rate: messages a second, each receiver's copy counted; half a second of them may come at once.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._most = rate * BURST_S
        self._left = self._most
        self._at = clock()

    def spend(self, messages: float) -> None:
        """Count what was sent."""
        self._fill()
        self._left -= messages

    def wait(self) -> float:
        """How long to send nothing, s."""
        self._fill()
        return max(0.0, -self._left / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
