"""Text in columns: what a row of the screen is made of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rich.cells import cell_len, set_cell_size

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Look(StrEnum):
    """What a piece of text means; a theme gives it a colour. Nothing is told by colour alone."""

    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    ASKS = "asks"
    FAILED = "failed"
    DONE = "done"
    WORKING = "working"
    UNSURE = "unsure"
    KEY = "key"
    MODE = "mode"


Span = tuple[str, Look]


@dataclass(frozen=True)
class Line:
    """One row. `chosen`: the cursor is on it; `key`: what a click on it means."""

    spans: tuple[Span, ...] = ()
    chosen: bool = False
    key: str | None = None

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)


def line(*spans: Span | str, chosen: bool = False, key: str | None = None) -> Line:
    made = tuple(span if isinstance(span, tuple) else (span, Look.PLAIN) for span in spans)
    return Line(made, chosen, key)


def clean(text: str) -> str:
    """One row of text that came from elsewhere: no control character reaches the operator's terminal."""
    return _CONTROLS.sub(" ", text)


def fit(text: str, width: int) -> str:
    """Exactly so many columns; a wide character that would be cut in half becomes a space."""
    return set_cell_size(clean(text), max(width, 0))


def right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text if cell_len(text) < width else fit(text, width)


def apart(left: Iterable[Span], end: Iterable[Span], width: int) -> Line:
    """Two ends of one row; the left one gives way."""
    left, end = list(left), list(end)
    taken = sum(cell_len(text) for text, _ in end)
    room = width - taken
    if room <= 0:
        return Line(tuple(end))
    spans: list[Span] = []
    for text, look in left:
        piece = fit(text, min(cell_len(text), room))
        spans.append((piece, look))
        room -= cell_len(piece)
    return Line((*spans, (" " * room, Look.PLAIN), *end))


def ago(age: timedelta) -> str:
    """How long, in at most four characters."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{min(seconds // size, 999)}{unit}"
    return f"{seconds}s"
