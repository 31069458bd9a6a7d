"""Sessions that run `tests/programs/receiver.py`, and what it wrote down."""

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.machine import ROOT, Machine

PROFILE = """
name = "receiver"
description = "writes down every byte that it gets"
[launch]
argv = ["/bin/sh", "-c", 'exec "$PYTHON" "$RECEIVER" "$RECORDS/$SEMO_SESSION_ID.jsonl"']
env = {{ PYTHON = {python}, RECEIVER = {program}, RECORDS = {records} }}
[evidence]
source = "osc133"
"""


HANGUL = "한글 조합형 \u1112\u1161\u11ab과 완성형 한, 이모지 👩‍👩‍👧‍👦 🇰🇷 ✌🏽, 결합 e\u0301 n\u0303"

TEXTS = {
    "200 lines": "\n".join(f"line {number}" for number in range(200)),
    "100 kB": "0123456789abcde\n" * 6_250 + "end",
    "Hangul, emoji and combining marks": HANGUL,
    "ESC, NUL and 0x9b": "a\x1b[201~b\x00c\x9bd\x9c\x07e\x7ff\tg",
}


@dataclass(frozen=True)
class ReceivedPrompt:
    """One prompt as the receiver saw it. `cr_separate`: Enter came in a later read than the end of the paste."""

    number: int
    sha256: str
    byte_count: int
    cr_separate: bool


@dataclass(frozen=True)
class Receivers:
    """The profile `receiver` of a machine, and its records."""

    machine: Machine

    def install(self) -> None:
        profiles = self.machine.path / "config" / "profiles"
        profiles.mkdir(parents=True)
        self._records.mkdir()
        text = PROFILE.format(
            python=json.dumps(sys.executable),
            program=json.dumps(str(ROOT / "tests" / "programs" / "receiver.py")),
            records=json.dumps(str(self._records)),
        )
        (profiles / "receiver.toml").write_text(text, encoding="utf-8")

    def new_session(self) -> str:
        return self.machine.new_session(role="receiver", profile="receiver")

    def prompts(self, session_id: str) -> list[ReceivedPrompt]:
        return [
            ReceivedPrompt(entry["prompt"], entry["sha256"], entry["bytes"], entry["cr_separate"])
            for entry in self._entries(session_id)
            if "prompt" in entry
        ]

    def bytes_read(self, session_id: str) -> bytes:
        return b"".join(bytes.fromhex(entry["hex"]) for entry in self._entries(session_id) if "hex" in entry)

    def _entries(self, session_id: str) -> list[dict[str, Any]]:
        record = (self._records / f"{session_id}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in record.splitlines()]

    @property
    def _records(self) -> Path:
        return self.machine.path / "records"


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def see_arrive(machine: Machine, text: str) -> None:
    """Send a text to a new receiver with `semo send`; see it arrive byte for byte, once, and Enter after it."""
    receivers = Receivers(machine)
    session = receivers.new_session()
    ended = machine.semo("send", "--wait", "20", "--json", "--session", session, "-", stdin=text.encode())
    assert ended.code == 0, ended
    expected = documented_stripping(text)
    received = ReceivedPrompt(1, sha256_of(expected), len(expected.encode()), cr_separate=True)
    assert receivers.prompts(session) == [received]
    assert receivers.bytes_read(session) == b"\x1b[200~" + expected.encode() + b"\x1b[201~\r"


def documented_stripping(text: str) -> str:
    """As README says: C0 but tab and newline, DEL and C1 go; line ends become LF, none at the end."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", unified).rstrip("\n")
