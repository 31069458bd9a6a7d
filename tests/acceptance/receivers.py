"""Sessions that run `tests/programs/receiver.py`, and what it wrote down."""

import hashlib
import json
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
