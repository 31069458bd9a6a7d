"""Columns of a row of text, as the terminal counts them."""

from semo_agent.emulator.ghostty import graphemes


def text_width(text: str) -> int:
    """Cells that a text takes on one row."""
    return len(text) if text.isascii() else sum(width for _, width in graphemes(text))


def split_at_column(text: str, column: int) -> tuple[str, str]:
    """A row's text before and from a column; a wide character that straddles it goes to the second part."""
    if text.isascii():
        return text[:column], text[column:]
    at = cells = 0
    for length, width in graphemes(text):
        if cells + width > column:
            break
        at, cells = at + length, cells + width
    return text[:at], text[at:]
