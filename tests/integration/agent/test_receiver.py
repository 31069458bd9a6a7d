"""What arrives in a program that records every byte: nothing added, nothing lost, Enter by itself."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from semo_agent.paste import clean
from semo_office.models import SendPrompt, SessionInfo
from tests.integration.agent.bench_host import Bench, running_host

RECEIVER = Path(__file__).parents[2] / "programs" / "receiver.py"

TEXTS = {
    "200 lines": "\n".join(f"line {number}" for number in range(200)),
    "100 kB": "0123456789abcdef" * 6400,
    "Hangul, emoji and combining marks": "가나다 각각 👩‍👩‍👧‍👦 🇰🇷 é ñ 한글 " * 50,
    "ESC, NUL and 0x9b": "a\x1b[31mb\x00c\x9bd\x1b[201~e\x7ff\r\ng\th\n\n",
}


async def receiver(bench: Bench, *options: str) -> SessionInfo:
    """A session with the receiver in it."""
    argv = [sys.executable, str(RECEIVER), str(bench.folder / "record"), *options]
    bench.write_profile("receiver", argv)
    return await bench.shell(profile="receiver")


def received(bench: Bench) -> list[dict[str, Any]]:
    """One entry for each prompt that was submitted."""
    entries = [json.loads(line) for line in (bench.folder / "record").read_text().splitlines()]
    return [entry for entry in entries if "prompt" in entry]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_a_prompt_arrives_once_and_whole_and_its_enter_comes_separately(text: str) -> None:
    async with running_host() as bench:
        row = await receiver(bench)
        verdict = await bench.prompt(row, text)
        assert verdict.error is None, verdict.message
        body = clean(text).encode()
        expected = {"prompt": 1, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), "cr_separate": True}
        assert received(bench) == [expected]


async def test_a_slow_reader_gets_everything_once() -> None:
    async with running_host() as bench:
        row = await receiver(bench, "--slow-read")
        verdict = await bench.prompt(row, "x" * 100_000)
        assert verdict.error is None, verdict.message
        assert [entry["bytes"] for entry in received(bench)] == [100_000]


async def test_prompts_that_come_at_once_never_mix() -> None:
    async with running_host() as bench:
        row = await receiver(bench)
        texts = [f"prompt {number} " * 500 for number in range(5)]
        # Without an office that keeps the lane: each either goes alone or is refused.
        verdicts = [await bench.office.verdict(c) for c in [bench.take(row, SendPrompt(prompt=t)) for t in texts]]
        went = [text for text, verdict in zip(texts, verdicts, strict=True) if verdict.error is None]
        digests = [hashlib.sha256(clean(text).encode()).hexdigest() for text in went]
        assert digests
        assert [entry["sha256"] for entry in received(bench)] == digests
