"""Colours. They repeat what glyph and word say; the terminal's own sixteen, so that its theme decides."""

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from semo_console.state.lines import Line, Look

STYLES: dict[Look, Style] = {
    Look.PLAIN: Style.null(),
    Look.DIM: Style.parse("bright_black"),
    Look.STRONG: Style.parse("bold"),
    Look.ASKS: Style.parse("bold yellow"),
    Look.FAILED: Style.parse("bold red"),
    Look.DONE: Style.parse("green"),
    Look.WORKING: Style.parse("cyan"),
    Look.UNSURE: Style.parse("magenta"),
    Look.KEY: Style.parse("bold cyan"),
    Look.MODE: Style.parse("bold reverse"),
}
CHOSEN = Style.parse("reverse")


@lru_cache(maxsize=2048)
def strip_of(line: Line, width: int) -> Strip:
    """A row of exactly so many columns."""
    segments = [Segment(text, STYLES[look]) for text, look in line.spans]
    strip = Strip(segments).adjust_cell_length(width)
    return strip.apply_style(CHOSEN) if line.chosen else strip
