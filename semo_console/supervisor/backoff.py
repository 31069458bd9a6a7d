"""How long to wait before something that died is started again."""

from collections.abc import Callable
from dataclasses import dataclass

FIRST_S = 0.5
LONGEST_S = 30.0
PROVEN_S = 60.0
"""What lived that long did work: its next death is a first one."""

_DOUBLINGS = 10  # beyond LONGEST_S; keeps the power small after days of failures


@dataclass
class Backoff:
    """Waits that double, each between half and all of its length so that many don't come back at once."""

    random: Callable[[], float]
    """Between 0 and 1."""
    _deaths: int = 0

    def after(self, lived: float) -> float:
        """The wait, s, after a death that came `lived` s after the start."""
        self._deaths = 1 if lived >= PROVEN_S else self._deaths + 1
        full = min(LONGEST_S, FIRST_S * 2.0 ** min(self._deaths - 1, _DOUBLINGS))
        return full * (0.5 + self.random() / 2)
