"""Times in milliseconds, and how they are printed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Measured times of one thing, ms."""

    name: str
    values: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        return sorted(self.values)[max(0, round(len(self.values) * 0.99) - 1)]

    def line(self) -> str:
        return f"  {self.name:<46} {len(self.values):>5}x   p50 {self.p50:8.2f} ms   p99 {self.p99:8.2f} ms"


def verdict(name: str, value: float, aim: float) -> str:
    """One line that says whether an aim, ms, was reached."""
    return f"  {name:<46} {value:8.2f} ms   aim {aim:8.2f} ms   {'reached' if value <= aim else 'MISSED'}"
