"""Finds the few escape sequences at which a stream has to be cut, however it was chopped into reads."""

import re
from dataclasses import dataclass
from enum import Enum

_CSI_PARAMETERS = rb"[\x30-\x3f]{0,64}"
_MARK_TEXT = rb"[^\x07\x18\x1a\x1b]{0,4096}"
_NAME_TEXT = rb"[^\x07\x18\x1a\x1b]{0,1024}"
_INTERESTING = re.compile(
    rb"\x1b(?:"
    rb"(?P<reset>c)"
    rb"|\[(?P<erase>" + _CSI_PARAMETERS + rb")J"
    rb"|\[\?(?P<modes>" + _CSI_PARAMETERS + rb")h"
    # ESC itself ends the string; it may begin the next sequence, so it is only looked at.
    rb"|\]133;(?P<mark>" + _MARK_TEXT + rb")(?:\x07|(?=\x1b))"
    rb"|k(?P<name>" + _NAME_TEXT + rb")(?=\x1b)"
    rb")"
)
_UNFINISHED = re.compile(
    rb"(?:"
    rb"\x1b(?:\[" + _CSI_PARAMETERS + rb"|k" + _NAME_TEXT + rb"|\](?:1(?:3(?:3(?:;" + _MARK_TEXT + rb")?)?)?)?)?"
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2}"
    rb")\Z"
)
_ALTERNATE_SCREEN = {b"47", b"1047", b"1049"}
_CLEAR_SCROLLBACK = re.compile(rb"\??0*3\Z")


class Escape(Enum):
    """What a sequence does."""

    MARK = "mark"
    """OSC 133, a mark of shell integration."""
    ALTERNATE = "alternate"
    """The program enters the alternate screen."""
    CLEAR = "clear"
    """The program clears the scrollback, CSI 3 J."""
    NAME = "name"
    """The program names its window as screen and tmux know it, ESC k; it goes on as OSC 2, a title."""
    RESET = "reset"
    """The program resets the terminal, ESC c."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One sequence, the plain output before it, and the text of a mark."""

    escape: Escape
    before: bytes
    sequence: bytes
    text: bytes = b""


class EscapeScanner:
    """Holds back an unfinished sequence or character at the end of a read, so that no split hides one.

    What is held back has no effect of its own; it is at most some kilobytes.
    """

    def __init__(self, held: bytes = b"") -> None:
        self.held = held

    def scan(self, data: bytes) -> tuple[list[Cut], bytes]:
        """The cuts in order, and the plain output after the last."""
        stream = self.held + data
        end = _complete_length(stream)
        self.held = stream[end:]
        cuts = []
        at = 0
        # ESC that is held back still ends a mark: search the whole stream, cut within its complete part.
        for match in _INTERESTING.finditer(stream):
            if (escape := _classify(match)) is not None:
                sequence = match[0] if escape is not Escape.NAME else b"\x1b]2;" + match["name"] + b"\x07"
                cuts.append(Cut(escape, stream[at : match.start()], sequence, match["mark"] or b""))
                at = match.end()
        return cuts, stream[at:end]


def _classify(match: re.Match[bytes]) -> Escape | None:
    if match["mark"] is not None:
        return Escape.MARK
    if match["name"] is not None:
        return Escape.NAME
    if match["reset"] is not None:
        return Escape.RESET
    if match["erase"] is not None:
        return Escape.CLEAR if _CLEAR_SCROLLBACK.match(match["erase"]) else None
    return Escape.ALTERNATE if _ALTERNATE_SCREEN & set(match["modes"].split(b";")) else None


def _complete_length(stream: bytes) -> int:
    """Bytes before the unfinished end of a stream."""
    last_escape = stream.rfind(b"\x1b")
    for at in (last_escape, *range(len(stream) - 3, len(stream))):
        if at >= 0 and _UNFINISHED.match(stream, at):
            return int(at)
    return len(stream)
