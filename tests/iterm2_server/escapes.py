"""The sequences of a program that iTerm2 tells its clients about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LONGEST = 1024 * 1024
_STRING = re.compile(rb"\x1b\]([^\x07\x1b]*)(?:\x07|\x1b\\)|(\x07)")


@dataclass(frozen=True, slots=True)
class Told:
    """An operating system command, OSC: its number and its text. A bell is number None."""

    number: int | None
    text: str = ""


class EscapeReader:
    """Finds them, however the output was chopped into reads."""

    def __init__(self) -> None:
        self._held = b""

    def read(self, data: bytes) -> Iterator[Told]:
        data = self._held + data
        end = 0
        for match in _STRING.finditer(data):
            end = match.end()
            if match[2]:
                yield Told(None)
            else:
                number, _, text = match[1].partition(b";")
                if number.isdigit():
                    yield Told(int(number), text.decode("utf-8", "replace"))
        opened = data.find(b"\x1b]", end)
        if opened < 0:
            opened = len(data) - data.endswith(b"\x1b")
        self._held = data[opened:][:_LONGEST]
