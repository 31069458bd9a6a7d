"""Whether a program took what was typed, where it does not behave like a shell."""

from collections.abc import AsyncIterator

import pytest

from semo_office.errors import ErrorCode
from tests.integration.agent.bench_host import Bench, running_host

PROMPT = r"printf '\033]133;B\007'"
TURN = r"printf '\033]133;C\007taken\n\033]133;D;0\007\033]133;B\007'"
QUICK = "[typing]\naccept_timeout_ms = 300\n"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running_host() as running:
        yield running


async def test_a_text_that_is_not_taken_stays_and_is_said_to(bench: Bench) -> None:
    bench.write_profile("deaf", ["sh", "-c", f"stty -icrnl; {PROMPT}; sleep 60"], QUICK)
    row = await bench.shell(profile="deaf")
    verdict = await bench.prompt(row, "hello")
    assert verdict.error is ErrorCode.TIMEOUT
    assert verdict.message == "The program did not take the text within 0.3 s; it still stands in the terminal."
    assert bench.live(row).turn is None


async def test_only_enter_is_pressed_again(bench: Bench) -> None:
    script = f"{PROMPT}; read first; read second; {TURN}; echo $first:$second; sleep 60"
    bench.write_profile("slow", ["sh", "-c", script], QUICK + "retry_enter = true\n")
    row = await bench.shell(profile="slow")
    assert (await bench.prompt(row, "hello")).error is None
    await bench.shows(row, "hello:")


async def test_a_program_that_ends_instead_of_taking_it_is_reported(bench: Bench) -> None:
    bench.write_profile("brief", ["sh", "-c", f"{PROMPT}; read line; exit 7"])
    row = await bench.shell(profile="brief")
    verdict = await bench.prompt(row, "hello")
    assert verdict.error is ErrorCode.SESSION_EXITED
    assert verdict.result == {"exit_status": 7}
