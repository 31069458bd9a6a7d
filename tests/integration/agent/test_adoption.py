"""A new start of the agent beside programs that went on."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest

from semo_agent.reconciliation import Reconciliation
from semo_agent.records import record_of
from semo_agent.terminals.base import LaunchSpec
from semo_office.errors import ErrorCode
from semo_office.models import SendPrompt, SendText, SessionStatus, Stage
from tests.integration.agent.bench_host import Bench, bench_in
from tests.integration.agent.holder_end import end_holder
from tests.integration.agent.recording_office import RecordingOffice


@dataclass
class Machine:
    """A host over several lives of its agent."""

    folder: Path
    office: RecordingOffice = field(default_factory=RecordingOffice)

    def agent(self) -> AbstractAsyncContextManager[Bench]:
        """One life."""
        return bench_in(self.folder, self.folder / "home", {"SHELL": "/bin/bash"}, office=self.office)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="semo-") as name:
        running = Machine(Path(name))
        (running.folder / "home").mkdir()
        yield running
        await end_holder(running.folder / "holder")


async def reconcile(bench: Bench) -> None:
    await Reconciliation(bench.host, bench.worker).run()


async def test_an_idle_session_goes_on(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        await first.prompt(row, "kept=yes")
    async with machine.agent() as second:
        await reconcile(second)
        verdict = await second.prompt(row, "echo $kept")
        assert verdict.result is not None
        assert verdict.result["output"] == "yes"


async def test_a_turn_is_completed_with_all_of_its_output(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.take(row, SendPrompt(prompt="echo begun; read line; echo $line"))
        await first.office.reached(command, Stage.ACCEPTED)
    async with machine.agent() as second:
        await reconcile(second)
        await second.do(row, SendText(text="ended", answer=True))
        verdict = await second.office.verdict(command)
        assert verdict.result is not None
        assert verdict.result["output"] == "begun\nended\nended"


async def test_what_may_have_been_typed_is_not_typed_again(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.take(row, SendPrompt(prompt="sleep 100"))
        await first.office.reached(command, Stage.ACCEPTED)
        record = record_of(first.live(row))
        assert record is not None
        assert record.turn is not None
    first.host.records.write(record.model_copy(update={"turn": replace(record.turn, entered=False)}))
    async with machine.agent() as second:
        await reconcile(second)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE


async def test_what_was_given_back_after_typing_began_is_not_typed_again(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.take(row, SendPrompt(prompt="sleep 100"))
        await first.office.reached(command, Stage.ACCEPTED)
    claimed_anew = command.model_copy(update={"claim_token": uuid4()})
    machine.office.commands[command.id].command = claimed_anew
    async with machine.agent() as second:
        await reconcile(second)
        second.worker.take(claimed_anew)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE


async def test_a_session_without_a_record_is_known_by_its_marks(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        await first.prompt(row, "true")
    first.host.records.remove(row.session_id)
    async with machine.agent() as second:
        await reconcile(second)
        verdict = await second.prompt(row, "echo again")
        assert verdict.result is not None
        assert verdict.result["output"] == "again"


async def test_a_tab_without_a_session_is_closed(machine: Machine) -> None:
    async with machine.agent() as first:
        await first.host.terminal.open(LaunchSpec(tag="stray", argv=("sleep", "60"), cwd="/", env={}))
    async with machine.agent() as second:
        await reconcile(second)
        assert list(await second.host.terminal.list()) == []


async def test_a_session_without_a_tab_is_buried(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
    await end_holder(machine.folder / "holder")
    async with machine.agent() as second:
        await reconcile(second)
        buried = await second.office.seen_as(row.session_id, SessionStatus.TERMINATED)
        assert buried.reason == "the terminal is gone"
        assert second.host.records.read_all() == {}
