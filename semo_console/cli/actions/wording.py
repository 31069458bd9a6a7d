"""The words that a person reads."""

import json
import sys
from collections.abc import Sequence
from typing import TextIO

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
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def remark(line: str, stream: TextIO | None = None) -> None:
    """A dim line on standard error: about the answer, not the answer."""
    target = stream or sys.stderr
    target.write(f"{_DIM}{line}{_PLAIN}\n" if target.isatty() else f"{line}\n")
    target.flush()
