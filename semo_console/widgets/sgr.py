"""Rows of coloured text, as agents send them, into what Textual draws."""

import re
from collections.abc import Iterator
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

_PART = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|([^\x00-\x1f\x7f-\x9f]+)")

_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 5: "blink", 7: "reverse", 8: "conceal", 9: "strike"}
_OFF = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    25: ("blink",),
    27: ("reverse",),
    28: ("conceal",),
    29: ("strike",),
}
_KINDS = {38: "color", 48: "bgcolor"}


class Pen:
    """The attributes that SGR has set so far."""

    def __init__(self) -> None:
        self._set: dict[str, bool | Color] = {}

    def style(self) -> Style:
        return _style(tuple(sorted(self._set.items(), key=lambda item: item[0])))

    def take(self, parameters: str) -> None:
        codes = [int(code) if code.isdigit() else 0 for code in parameters.replace(":", ";").split(";")]
        while codes:
            self._take_one(codes.pop(0), codes)

    def _take_one(self, code: int, rest: list[int]) -> None:
        if code == 0:
            self._set.clear()
        elif code in _ON:
            self._set[_ON[code]] = True
        elif code in _OFF:
            for name in _OFF[code]:
                self._set.pop(name, None)
        elif code in _KINDS:
            if (color := _extended(rest)) is not None:
                self._set[_KINDS[code]] = color
        else:
            self._take_color(code)

    def _take_color(self, code: int) -> None:
        for first, name, number in ((30, "color", 0), (40, "bgcolor", 0), (90, "color", 8), (100, "bgcolor", 8)):
            if first <= code <= first + 7:
                self._set[name] = Color.from_ansi(code - first + number)
        if code in (39, 49):
            self._set.pop("color" if code == 39 else "bgcolor", None)


def _extended(rest: list[int]) -> Color | None:
    """256 colours or RGB; what is cut off is no colour."""
    kind = rest.pop(0) if rest else 0
    if kind == 5 and rest:
        return Color.from_ansi(min(rest.pop(0), 255))
    if kind == 2 and len(rest) >= 3:
        red, green, blue = (min(rest.pop(0), 255) for _ in range(3))
        return Color.from_rgb(red, green, blue)
    return None


@lru_cache(maxsize=1024)
def _style(attributes: tuple[tuple[str, bool | Color], ...]) -> Style:
    return Style(**dict(attributes))  # type: ignore[arg-type]  # names and values come from the tables above


def segments_of(row: str) -> Iterator[Segment]:
    """Text with styles. Every control character but SGR is left out: it would reach the operator's terminal."""
    pen = Pen()
    for match in _PART.finditer(row):
        if match[1] is not None:
            pen.take(match[1])
        elif match[2] is not None:
            yield Segment(match[2], pen.style())


@lru_cache(maxsize=4096)
def strip_of_row(row: str, width: int) -> Strip:
    """A row of exactly so many columns."""
    return Strip(list(segments_of(row))).adjust_cell_length(width, Style.null()).simplify()
