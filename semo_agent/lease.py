"""What this process knows of its lease without asking: whether the office may have given its claims away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a lease lasts, and how often it is renewed, s. Within `sure_s` of its renewal it has not lapsed."""

    lasts_s: float = 15.0
    renewed_every_s: float = 5.0
    sure_s: float = 10.0


USUAL_TERMS: Final = Terms()


@dataclass(frozen=True, slots=True)
class Moment:
    """s of the monotonic clock and of the wall clock."""

    monotonic: float
    wall: float

    def until(self, later: "Moment") -> float:
        """How long it was, s: one clock stands still while the machine sleeps, the other may be set back."""
        return max(later.monotonic - self.monotonic, later.wall - self.wall)


class Lease:
    """The lease of this process, and the claims made under it, each by its token.

    A renewal that comes too late does not mend it: what was claimed before may be somebody else's since.
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float], terms: Terms = USUAL_TERMS) -> None:
        self.terms = terms
        self._monotonic = monotonic
        self._wall = wall
        self._renewed: Moment | None = None
        self._lapses = 0
        self._claims: dict[UUID, int] = {}

    def now(self) -> Moment:
        return Moment(self._monotonic(), self._wall())

    def note_renewal(self, asked: Moment) -> None:
        """The office renewed it; it counts from a moment after it was asked."""
        if not self.is_fresh():
            self._lapses += 1
        self._renewed = asked

    @property
    def age(self) -> int:
        """Goes up whenever the lease may have lapsed."""
        return self._lapses

    def note_claim(self, token: UUID, age: int) -> None:
        """age: of the lease when the claim was asked for; much may have happened before the answer was heard."""
        self._claims[token] = age

    def drop_claim(self, token: UUID) -> None:
        self._claims.pop(token, None)

    def covers(self, token: UUID) -> bool:
        """The claim can't have been given away: the lease was never near its end since it was made."""
        return self.is_fresh() and self._claims.get(token) == self._lapses

    def is_fresh(self) -> bool:
        """Whoever asks now finds it alive."""
        return self._renewed is not None and self._renewed.until(self.now()) < self.terms.sure_s
