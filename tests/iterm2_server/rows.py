"""Rows of cells: made of styled text, wrapped anew for another width, told as the API tells lines."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeVar

from iterm2 import api_pb2

from semo_agent.emulator.ghostty import graphemes
from tests.iterm2_server.styles import DEFAULT, Style

T = TypeVar("T")

_SGR = re.compile("\x1b\\[([0-9;:]*)m")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. The second cell of a wide character has no text."""

    text: str
    style: Style = DEFAULT


class Row:
    """One row; `wrapped`: it goes on in the next one."""

    def __init__(self, styled: str, wrapped: bool) -> None:
        self._styled = styled
        self.wrapped = wrapped

    @classmethod
    def of(cls, cells: list[Cell], wrapped: bool) -> "Row":
        row = cls("", wrapped)
        row.cells = cells
        return row

    @cached_property
    def cells(self) -> list[Cell]:
        """As far as something was written; made when they are first looked at."""
        return list(_cells(self._styled))

    @property
    def styled(self) -> str:
        """Text with SGR that shows the row again."""
        return "".join(f"{style.sgr()}{''.join(cell.text for cell in same)}" for style, same in _same_style(self.cells))

    def message(self, *, with_styles: bool, first: int = 0, last: int | None = None) -> api_pb2.LineContents:
        """The columns `first` to `last` (exclusive) as the API tells them."""
        cells = self.cells[first:last]
        message = api_pb2.LineContents(text="".join(cell.text for cell in cells))
        ends = (
            api_pb2.LineContents.CONTINUATION_SOFT_EOL if self.wrapped else api_pb2.LineContents.CONTINUATION_HARD_EOL
        )
        message.continuation = ends
        for length, repeats in _runs(len(cell.text) for cell in cells):
            message.code_points_per_cell.add(num_code_points=length, repeats=repeats)
        if with_styles:
            message.style.extend(style.message(repeats) for style, repeats in _runs(cell.style for cell in cells))
        return message


def _same_style(cells: list[Cell]) -> "groupby[Style, Cell]":
    return groupby(cells, key=lambda cell: cell.style)


def wrapped_anew(rows: Iterable[Row], width: int) -> Iterator[Row]:
    """The same lines in rows of another width."""
    line: list[Cell] = []
    for row in rows:
        line.extend(row.cells)
        if not row.wrapped:
            yield from _folded(line, width, goes_on=False)
            line = []
    if line:
        yield from _folded(line, width, goes_on=True)


def _folded(line: list[Cell], width: int, *, goes_on: bool) -> Iterator[Row]:
    while len(line) > width:
        # A wide character does not straddle the end of a row.
        end = width - 1 if line[width].text == "" else width
        yield Row.of(line[:end], wrapped=True)
        line = line[end:]
    yield Row.of(line, wrapped=goes_on)


def _cells(styled: str) -> Iterator[Cell]:
    style = DEFAULT
    for at, piece in enumerate(_SGR.split(styled)):
        if at % 2:
            style = style.after(piece)
        elif piece:
            yield from _text_cells(piece, style)


def _text_cells(text: str, style: Style) -> Iterator[Cell]:
    at = 0
    for length, width in graphemes(text):
        yield Cell(text[at : at + length], style)
        if width == 2:
            yield Cell("", style)
        at += length


def _runs(values: Iterable[T]) -> Iterator[tuple[T, int]]:
    for value, same in groupby(values):
        yield value, sum(1 for _ in same)
