"""The words that a person reads."""

import json
import sys
from collections.abc import Sequence
from typing import TextIO
from unicodedata import combining, east_asian_width

from pydantic import JsonValue

from semo_office.models import SessionInfo, SessionStatus

STATUS_WORDS: dict[SessionStatus, str] = {
    SessionStatus.CREATING: "starting",
    SessionStatus.READY: "idle",
    SessionStatus.EXECUTING: "working",
    SessionStatus.WAITING_INPUT: "asks",
    SessionStatus.ERROR: "failed",
    SessionStatus.TERMINATED: "ended",
}

SHORT_ID = 8
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def short_id(session: SessionInfo) -> str:
    return str(session.session_id)[:SHORT_ID]


def describe_session(session: SessionInfo) -> str:
    return f"{short_id(session)} ({session.role}, {STATUS_WORDS[session.status]})"


def print_json(value: JsonValue) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """A line on standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows of cells in aligned columns on standard output."""
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell + " " * (width - _cells(cell)) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(text: str) -> int:
    """How many cells of a terminal it takes."""
    return sum(map(_width, text))


def _width(sign: str) -> int:
    """A Hangul syllable is two; a combining mark, and the rest of a syllable that is written in letters, is none."""
    if combining(sign) or "\u1160" <= sign <= "\u11ff":
        return 0
    return 2 if east_asian_width(sign) in "WF" else 1


def remark(line: str, stream: TextIO | None = None) -> None:
    """A dim line on standard error: about the answer, not the answer."""
    target = stream or sys.stderr
    target.write(f"{_DIM}{line}{_PLAIN}\n" if target.isatty() else f"{line}\n")
    target.flush()
