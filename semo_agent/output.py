"""Output as results carry it: the text of a turn, and the last rows of a session."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import JsonValue

from semo_agent.composer import cursor_of
from semo_agent.detector import TurnFacts
from semo_agent.session import Turn
from semo_agent.terminals.base import Line, Position, Screen, Terminal
from semo_office.models import RESULT_BYTES_MAX, GetOutput

Result = dict[str, JsonValue]

ROWS_BYTES_MAX: Final = RESULT_BYTES_MAX // 2
"""Rows go into a result twice: as one text and one by one."""


async def turn_output(terminal: Terminal, tab_id: str, turn: Turn, facts: TurnFacts) -> Result:
    """What a turn printed, soft-wrapped rows joined; of too much the end, and how many rows were left out.

    Of a program on the alternate screen that does not say where its output begins: what it shows now.
    """
    screen = await terminal.screen(tab_id)
    begins, ends = _bounds(turn, facts, screen)
    most = RESULT_BYTES_MAX - len((facts.message or "").encode("utf-8", "replace"))
    excerpt = await terminal.text_between(tab_id, begins, ends, max_bytes=most)
    is_drawn = screen.alternate and facts.output_begins is None
    text, dropped = keep_tail(_shown(screen) if is_drawn else excerpt.text, most)
    return {
        "output": text,
        "omitted_lines": excerpt.left_out + dropped,
        "epoch": ends.epoch,
        "first_line": begins.line,
        "next_line": ends.line + (1 if ends.column else 0),
    }


async def last_rows(terminal: Terminal, tab_id: str, wanted: GetOutput) -> Result:
    """Committed lines and the live screen below them, without the blank rows at its end.

    `next_line` is where the live screen begins: what stands before it will not change any more. Who reads on in an
    epoch that is over gets the rest of that one first, then the epochs after it.
    """
    screen = await terminal.screen(tab_id)
    if (earlier := await _earlier_rows(terminal, tab_id, wanted, screen.epoch)) is not None:
        return _result(screen, earlier, wanted, earlier[0].epoch, earlier[-1].number + 1)
    first = _first_wanted(wanted, screen)
    committed = await terminal.lines(tab_id, first, screen.base, epoch=screen.epoch) if first < screen.base else ()
    rows = _chosen([row for row in (*committed, *_live_rows(screen)) if row.number >= first], wanted)
    return _result(screen, rows, wanted, screen.epoch, min(screen.base, rows[-1].number + 1 if rows else first))


async def _earlier_rows(terminal: Terminal, tab_id: str, wanted: GetOutput, now: int) -> Sequence[Line] | None:
    """The next rows of the epochs before the present one; None: there are none, or nobody asks for them."""
    if wanted.since_line is None or wanted.epoch is None:
        return None
    first = wanted.since_line
    for epoch in range(wanted.epoch, now):
        lines = await terminal.lines(tab_id, first, first + wanted.lines, epoch=epoch)
        if rows := list(_fitting(list(lines), wanted)):
            return rows
        first = 0
    return None


def _result(screen: Screen, rows: Sequence[Line], wanted: GetOutput, epoch: int, next_line: int) -> Result:
    texts: list[JsonValue] = [_text(row, wanted) for row in rows]
    return {
        "output": "\n".join(_text(row, wanted) for row in rows),
        "lines": texts,
        "epoch": epoch,
        "first_line": rows[0].number if rows else next_line,
        "next_line": next_line,
        "cursor": [screen.cursor_row, screen.cursor_col],
        "alternate": screen.alternate,
        "title": screen.title,
    }


def keep_tail(text: str, most_bytes: int) -> tuple[str, int]:
    """The end of a text that takes at most so many bytes as JSON, and how many lines were dropped before it."""
    if _json_bytes(text) <= most_bytes:
        return text, 0
    kept: list[str] = []
    room = most_bytes
    lines = text.split("\n")
    for line in reversed(lines):
        room -= _json_bytes(line)
        if room < 0:
            break
        kept.append(line)
    # One line longer than everything allowed: its end is better than nothing.
    tail = "\n".join(reversed(kept)) if kept else lines[-1][-(most_bytes // 6) :]
    return tail, len(lines) - max(len(kept), 1)


def _bounds(turn: Turn, facts: TurnFacts, screen: Screen) -> tuple[Position, Position]:
    ends = facts.output_ends or cursor_of(screen)
    if facts.output_begins is None or facts.from_mark == "D":
        # The program never said where output begins: it is what stands below the typed text, and of one that draws a
        # composer what stands above that.
        ends = Position(ends.epoch, ends.line) if facts.output_begins is None else ends
        return min(turn.echo_ends or ends, ends), ends
    return facts.output_begins, ends


def _first_wanted(wanted: GetOutput, screen: Screen) -> int:
    if wanted.since_line is None:
        return max(screen.base - wanted.lines, 0)
    # Numbers begin anew with each epoch.
    return wanted.since_line if wanted.epoch in (None, screen.epoch) else 0


def _shown(screen: Screen) -> str:
    return "\n".join(row.text for row in _live_rows(screen))


def _live_rows(screen: Screen) -> Sequence[Line]:
    last = max((at for at, row in enumerate(screen.rows) if row.text.strip()), default=-1)
    return screen.rows[: last + 1]


def _chosen(rows: list[Line], wanted: GetOutput) -> list[Line]:
    """The first rows where the reader goes on from a line, else the last ones; as many as a result can hold."""
    if wanted.since_line is not None:
        return list(_fitting(rows[: wanted.lines], wanted))
    return list(_fitting(rows[-wanted.lines :][::-1], wanted))[::-1]


def _fitting(rows: list[Line], wanted: GetOutput) -> Iterator[Line]:
    room = ROWS_BYTES_MAX
    for row in rows:
        room -= _json_bytes(_text(row, wanted))
        if room < 0:
            return
        yield row


def _text(row: Line, wanted: GetOutput) -> str:
    return row.styled if wanted.styled else row.text


def _json_bytes(text: str) -> int:
    """Bytes of a text in a JSON document, its quotes or line end included."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))
