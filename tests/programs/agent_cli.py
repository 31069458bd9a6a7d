"""An agent CLI for tests: a raw-mode program with a composer that runs hooks as Claude Code does.

    agent_cli.py [--settings FILE] [--version] [--print TEXT]

It asks for bracketed paste, sets titles, shows "> " as its composer and, while it works, a status row instead. The
lines of a prompt say what it does, in their order; the other lines are only text:

    @say TEXT         print it; it becomes part of the last message
    @take SECONDS     work for so long
    @wait FILE        work until the file is there
    @ask QUESTION     ask, and go on when a line was typed
    @background       stop with work in the background first, then really
    @alternate        go to the alternate screen
    @nest             run another of its kind inside, with the same settings
    @fail KIND TEXT   end the turn with a failure of the service
    @crash            end at once, with exit status 7
    @forget           do not repeat what the prompt told to end with

The last message ends with the last `SEMO-DONE-…` of the prompt. Esc stops the turn and runs no hook; Ctrl-C empties the
composer, an empty one it takes as the wish to leave; so does Ctrl-D.

`AGENT_CLI_LOG` names a file for one JSON object a received prompt (`sha256`, `text`). `AGENT_CLI_START` names a file
which, where it is there, says how a start goes wrong: `exit`, `hang`, or `trust` (a dialog comes first).
"""

import hashlib
import json
import os
import re
import select
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

BEGIN, END = b"\x1b[200~", b"\x1b[201~"
ESCAPE_S = 0.05
VERSION = "agent-cli 1.2.3"


class Interrupted(Exception):
    """Esc was pressed."""


class Hooks:
    """The hooks of the settings file."""

    def __init__(self, settings: Path | None) -> None:
        self._events = json.loads(settings.read_text())["hooks"] if settings else {}
        self._session_id = os.urandom(8).hex()

    def run(self, event: str, match: str = "", **fields: object) -> None:
        about = {"session_id": self._session_id, "cwd": str(Path.cwd()), "hook_event_name": event, **fields}
        for group in self._events.get(event, []):
            if re.fullmatch(group.get("matcher") or ".*", match):
                for hook in group["hooks"]:
                    subprocess.run(hook["command"], shell=True, input=json.dumps(about).encode(), check=True)


class Screen:
    """Rows above, and one row at the bottom that is drawn anew."""

    def print(self, text: str) -> None:
        rows = "".join(f"{row}\r\n" for row in text.split("\n"))
        self._write(f"\r\x1b[J{rows}")

    def live(self, row: str, title: str) -> None:
        self._write(f"\r\x1b[J{row}\x1b]2;{title}\x07")

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(1, data) :]


class Keys:
    """Input as keys: a paste is one, so is any other byte."""

    def __init__(self) -> None:
        self._pending = b""

    def next(self, timeout: float | None) -> tuple[str, bytes] | None:
        """What was pressed or pasted; None: nothing in time. timeout: s."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (key := self._take()) is None:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not self._read(left):
                return None
        return key

    def _take(self) -> tuple[str, bytes] | None:
        if self._pending.startswith(BEGIN):
            body, found, rest = self._pending[len(BEGIN) :].partition(END)
            self._pending = rest if found else self._pending
            return ("paste", body) if found else None
        if self._pending and BEGIN.startswith(self._pending[: len(BEGIN)]) and self._read(ESCAPE_S):
            return None
        key, self._pending = self._pending[:1], self._pending[1:]
        return ("key", key) if key else None

    def _read(self, timeout: float | None) -> bool:
        if not select.select([0], [], [], timeout)[0]:
            return False
        data = os.read(0, 65536)
        if not data:
            sys.exit(0)
        self._pending += data
        return True


class Line:
    """A line of text that is being typed."""

    def __init__(self) -> None:
        self._data = b""
        self.pasted = False

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")

    @property
    def shown(self) -> str:
        rows = self.text.split("\n")
        return f"[Pasted text +{len(rows)} lines]" if self.pasted and len(rows) > 1 else rows[-1][:80]

    def feed(self, kind: str, data: bytes) -> bool:
        """Whether the line is complete."""
        if kind == "key" and data == b"\r":
            return True
        if kind == "key" and data == b"\x7f":
            self._data = self.text[:-1].encode()
        else:
            self._data += data
            self.pasted = self.pasted or kind == "paste"
        return False


class Agent:
    """One run of the program."""

    def __init__(self, settings: Path | None) -> None:
        self._settings = settings
        self._hooks, self._screen, self._keys = Hooks(settings), Screen(), Keys()
        self._said: list[str] = []
        self._steps: dict[str, Callable[[str], None]] = {
            "say": self._say,
            "take": lambda seconds: self._work_until(_after(float(seconds))),
            "wait": lambda file: self._work_until(Path(file).exists),
            "ask": self._ask,
            "background": lambda _: self._stop(background_tasks=[{"id": "1"}]),
            "alternate": lambda _: self._screen.print("\x1b[?1049h\x1b[H"),
            "nest": self._nest,
            "crash": lambda _: os._exit(7),
        }

    def run(self, start: str) -> None:
        self._screen.print("Scripted agent")
        if start == "trust":
            self._ask_for_trust()
        while start == "hang":
            self._keys.next(None)
        self._screen.print("\x1b[?2004h")
        self._hooks.run("SessionStart", "startup", source="startup")
        while True:
            self._turn(self._compose())

    def answer_once(self, prompt: str) -> None:
        """As a program that is run by another program."""
        self._hooks.run("SessionStart", "startup", source="startup")
        self._hooks.run("UserPromptSubmit", prompt=prompt)
        self._said = ["nested"]
        self._stop()

    def _ask_for_trust(self) -> None:
        line = Line()
        self._screen.live("Do you trust the files in this folder? (y/n) ", "agent")
        while not line.feed(*(self._keys.next(None) or ("", b""))):
            pass
        if line.text != "y":
            sys.exit(1)
        self._screen.print("Trusted.")

    def _compose(self) -> str:
        line = Line()
        while True:
            self._screen.live(f"> {line.shown}", "agent")
            kind, data = self._keys.next(None) or ("", b"")
            if kind == "key" and data in (b"\x03", b"\x04"):
                if not line.text:
                    sys.exit(130)
                line = Line()
            elif kind == "key" and data == b"\x1b":
                continue
            elif line.feed(kind, data) and line.text.strip():
                return line.text

    def _turn(self, prompt: str) -> None:
        _log(prompt)
        self._hooks.run("UserPromptSubmit", prompt=prompt)
        self._screen.print("> " + prompt.replace("\n", "\n  "))
        self._said = []
        try:
            self._do(prompt)
        except Interrupted:
            self._screen.print("Interrupted by user")

    def _do(self, prompt: str) -> None:
        self._show_work()
        for word, rest in _orders(prompt):
            if word == "fail":
                kind, _, message = rest.partition(" ")
                return self._fail(kind, message)
            if word in self._steps:
                self._steps[word](rest)
        nonces = re.findall(r"SEMO-DONE-[0-9a-z]+", prompt)
        if nonces and not any(word == "forget" for word, _ in _orders(prompt)):
            self._say(nonces[-1])
        if not self._said:
            self._say(f"Heard {len(prompt)} characters.")
        self._stop()
        return None

    def _stop(self, **fields: list[dict[str, str]]) -> None:
        about = {"background_tasks": [], **fields}
        self._hooks.run("Stop", "", last_assistant_message="\n".join(self._said), **about)

    def _fail(self, kind: str, message: str) -> None:
        self._screen.print(f"API Error: {message}")
        self._hooks.run("StopFailure", error=kind, error_details=message)

    def _say(self, text: str) -> None:
        self._said.append(text)
        self._screen.print(text)
        self._show_work()

    def _show_work(self) -> None:
        self._screen.live("* Working… (esc to interrupt)", "⠹ agent")

    def _work_until(self, done: Callable[[], bool]) -> None:
        while not done():
            if self._keys.next(0.02) == ("key", b"\x1b"):
                raise Interrupted

    def _ask(self, question: str) -> None:
        self._hooks.run("Elicitation", message=question)
        line = Line()
        while True:
            self._screen.live(f"? {question} {line.shown}", "[ ! ] agent")
            kind, data = self._keys.next(None) or ("", b"")
            if (kind, data) == ("key", b"\x1b"):
                raise Interrupted
            if line.feed(kind, data):
                break
        self._hooks.run("ElicitationResult", action="accept")
        self._say(f"Answer: {line.text}")

    def _nest(self, _rest: str) -> None:
        words = [sys.executable, "-S", __file__, "--settings", str(self._settings), "--print", "nested"]
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True)


def _orders(prompt: str) -> Iterator[tuple[str, str]]:
    """Words after `@` at the beginning of a line, and the rest of the line."""
    for row in prompt.split("\n"):
        if row.startswith("@"):
            word, _, rest = row[1:].partition(" ")
            yield word, rest


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _log(prompt: str) -> None:
    if path := os.environ.get("AGENT_CLI_LOG"):
        entry = {"sha256": hashlib.sha256(prompt.encode()).hexdigest(), "text": prompt}
        with Path(path).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _start() -> str:
    path = Path(os.environ.get("AGENT_CLI_START") or "/nonexistent")
    return path.read_text().strip() if path.exists() else ""


def main(arguments: list[str]) -> int:
    if "--version" in arguments:
        sys.stdout.write(f"{VERSION}\n")
        return 0
    settings = Path(arguments[arguments.index("--settings") + 1]) if "--settings" in arguments else None
    if "--print" in arguments:
        Agent(settings).answer_once(arguments[arguments.index("--print") + 1])
        return 0
    if _start() == "exit":
        sys.stderr.write("No credentials.\r\n")
        return 1
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        Agent(settings).run(_start())
    finally:
        os.write(1, b"\x1b[?2004l")
        termios.tcsetattr(0, termios.TCSANOW, before)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
