"""A program for tests: reads prompts in raw mode, records every byte, and marks its turns like a shell.

    receiver.py RECORD.jsonl [--work SECONDS] [--slow-read] [--unbracketed] [--deaf]

It asks for bracketed paste and shows "> " between OSC 133 A and B. CR outside of a paste submits what came
before: OSC 133 C, a line with the count, OSC 133 D and the next prompt. Ctrl-C outside of a paste discards what came
before and shows a new prompt, as a shell does. Ctrl-D ends it. Each line of the
record is one read (`at`, `hex`) or one prompt (`prompt`, `sha256`, `bytes`, `cr_separate`: CR came in a later
read than the end of the paste).
`--slow-read` reads 4 kB every 20 ms, `--deaf` reads nothing at all.
"""

import hashlib
import json
import os
import signal
import sys
import termios
import time
import tty
from pathlib import Path
from typing import TextIO

BEGIN, END = b"\x1b[200~", b"\x1b[201~"
SLOW_READ_BYTES, SLOW_READ_SECONDS = 4096, 0.02


def show(text: str) -> None:
    os.write(1, text.encode())


class Composer:
    """Takes the stream of input apart into pasted or typed bytes and submitted prompts."""

    def __init__(self) -> None:
        self.body = b""
        self.pending = b""
        self.pasting = False
        self.interrupted = False
        self.ended_in_read = -1
        self.reads = 0

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Prompts that this read submits, and whether CR came in a later read than the end of the paste."""
        self.reads += 1
        self.pending += data
        prompts = []
        while self.pending:
            marker = END if self.pasting else BEGIN
            if self.pending.startswith(marker):
                self._switch(marker)
            elif marker.startswith(self.pending):
                break
            elif not self.pasting and self.pending[:1] == b"\r":
                prompts.append((self.body, self.ended_in_read < self.reads))
                self.body, self.pending = b"", self.pending[1:]
            elif not self.pasting and self.pending[:1] == b"\x03":
                self.body, self.pending, self.interrupted = b"", self.pending[1:], True
            else:
                self._take(marker)
        return prompts

    def _switch(self, marker: bytes) -> None:
        self.pending = self.pending[len(marker) :]
        self.pasting = not self.pasting
        if not self.pasting:
            self.ended_in_read = self.reads

    def _take(self, marker: bytes) -> None:
        """Move plain bytes to the body, up to what may be a marker, CR or Ctrl-C."""
        stops = [self.pending.find(marker[:1], 1)]
        if not self.pasting:
            stops += [self.pending.find(b"\r", 1), self.pending.find(b"\x03", 1)]
        end = min((stop for stop in stops if stop > 0), default=len(self.pending))
        self.body, self.pending = self.body + self.pending[:end], self.pending[end:]


def record(file: TextIO, **entry: object) -> None:
    file.write(json.dumps(entry) + "\n")
    file.flush()


def prompt() -> None:
    show("\x1b]133;A\x07> \x1b]133;B\x07")


def serve(file: TextIO, work: float, slow: bool) -> None:
    composer = Composer()
    count = 0
    prompt()
    while True:
        data = os.read(0, SLOW_READ_BYTES if slow else 65536)
        record(file, at=time.monotonic(), hex=data.hex())
        if not data or (data == b"\x04" and not composer.pasting):
            return
        for body, separate in composer.feed(data):
            count += 1
            show("\r\n\x1b]133;C\x07")
            digest = hashlib.sha256(body).hexdigest()
            record(file, prompt=count, sha256=digest, bytes=len(body), cr_separate=separate)
            time.sleep(work)
            show(f"prompt {count}: {len(body)} bytes\r\n\x1b]133;D;0\x07")
            prompt()
        if composer.interrupted:
            composer.interrupted = False
            show("^C\r\n")
            prompt()
        if slow:
            time.sleep(SLOW_READ_SECONDS)


def main(arguments: list[str]) -> int:
    before = termios.tcgetattr(0)
    tty.setraw(0)
    work = float(arguments[arguments.index("--work") + 1]) if "--work" in arguments else 0.0
    if "--unbracketed" not in arguments:
        show("\x1b[?2004h")
    try:
        with Path(arguments[0]).open("w") as file:
            if "--deaf" in arguments:
                prompt()
                signal.pause()
            serve(file, work, "--slow-read" in arguments)
    finally:
        show("\x1b[?2004l")
        termios.tcsetattr(0, termios.TCSANOW, before)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
