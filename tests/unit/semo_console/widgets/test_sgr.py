import pytest
from rich.style import Style

from semo_console.widgets.sgr import segments_of, strip_of_row


def parts(row: str) -> list[tuple[str, Style]]:
    return [(segment.text, segment.style or Style.null()) for segment in segments_of(row)]


@pytest.mark.parametrize(
    ("row", "style"),
    [
        ("\x1b[31mx", "color(1)"),
        ("\x1b[1;4;92mx", "bold underline color(10)"),
        ("\x1b[38;5;208mx", "color(208)"),
        ("\x1b[48;2;1;2;3mx", "on #010203"),
        ("\x1b[38:5:208mx", "color(208)"),
        ("\x1b[31m\x1b[mx", ""),
        ("\x1b[1;31m\x1b[22;39mx", ""),
        ("\x1b[41;97mx", "color(15) on color(1)"),
        ("\x1b[7mx", "reverse"),
        ("\x1b[38;5mx", ""),
        ("\x1b[999mx", ""),
    ],
)
def test_sgr_becomes_style(row: str, style: str) -> None:
    assert parts(row) == [("x", Style.parse(style))]


@pytest.mark.parametrize(
    "row", ["a\x1b[2Jb", "a\x1b]0;title\x07b", "a\x07\x08b", "a\x9b2Jb", "a\rb\x7f", "a\x1bcb", "a\x1b[?1049hb"]
)
def test_no_control_character_gets_through(row: str) -> None:
    text = "".join(text for text, _ in parts(row))
    assert text.isprintable()


@pytest.mark.parametrize(("width", "text"), [(6, "안녕 x"), (5, "안녕 "), (3, "안 "), (8, "안녕 x  "), (0, "")])
def test_a_row_has_exactly_the_columns_of_the_pane(width: int, text: str) -> None:
    strip = strip_of_row("\x1b[32m안녕\x1b[0m x", width)
    assert (strip.text, strip.cell_length) == (text, width)
