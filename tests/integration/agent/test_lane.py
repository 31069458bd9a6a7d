"""Prompts of one session, one after the other."""

import asyncio

from semo_agent.office import Claim, Verdict
from semo_office.models import SendPrompt, SessionReport
from tests.integration.agent.bench_host import running_host
from tests.integration.agent.recording_office import RecordingOffice


class SlowToAnswer(RecordingOffice):
    """Knows a result at once, and says so only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def complete(self, claim: Claim, verdict: Verdict, session: SessionReport | None = None) -> bool:
        taken = await super().complete(claim, verdict, session)
        await self.may_answer.wait()
        return taken


async def test_a_prompt_may_come_before_the_answer_to_the_result_before() -> None:
    office = SlowToAnswer()
    office.may_answer.set()
    async with running_host(office=office) as bench:
        row = await bench.shell()
        office.may_answer.clear()
        await bench.prompt(row, "echo first")
        second = bench.take(row, SendPrompt(prompt="echo second"))
        await asyncio.sleep(0)
        assert bench.live(row).turn is not None
        office.may_answer.set()
        verdict = await office.verdict(second)
        assert verdict.error is None, verdict.message
