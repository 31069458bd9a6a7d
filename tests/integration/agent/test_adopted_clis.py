"""A new start of the agent beside agent CLIs that went on."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from semo_agent.reconciliation import Reconciliation
from semo_agent.records import SessionRecords
from semo_office.errors import ErrorCode
from semo_office.models import Cancel, SendPrompt, SendText, SessionInfo, SessionStatus, Stage
from tests.integration.agent.bench_host import Bench, bench_in
from tests.integration.agent.recording_office import RecordingOffice
from tests.integration.terminals.kit import Kit, PtyKit, TmuxKit
from tests.programs.agent_cli_profile import NAME, AgentCli, write_profile

DEADLINE_S = 20.0


@dataclass
class CliMachine:
    """A host over several lives of its agent."""

    folder: Path
    kit: Kit
    cli: AgentCli
    office: RecordingOffice = field(default_factory=RecordingOffice)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def agent(self) -> AbstractAsyncContextManager[Bench]:
        """One life."""
        return bench_in(self.folder, self.home, {}, office=self.office, terminal=self.kit.terminal())

    async def spooled(self, row: SessionInfo, name: str) -> None:
        """Until the program has reported an event that no agent has taken in."""
        folder = self.folder / "hooks" / str(row.session_id)
        async with asyncio.timeout(DEADLINE_S):
            while not any(f'"{name}"' in path.read_text() for path in folder.glob("0*.json")):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)


on_each_terminal = pytest.mark.parametrize("machine", ["pty", "tmux"], indirect=True)


@pytest.fixture
async def machine(request: pytest.FixtureRequest) -> AsyncIterator[CliMachine]:
    # Short, because sockets are in it.
    folder = Path(tempfile.mkdtemp(prefix="semo-"))
    (folder / "home").mkdir()
    kits: dict[str, type[Kit]] = {"pty": PtyKit, "tmux": TmuxKit}
    kit = kits[getattr(request, "param", "pty")](folder / "holder")
    yield CliMachine(folder, kit, write_profile(folder / "profiles"))
    await kit.tidy()
    shutil.rmtree(folder)


async def reconcile(bench: Bench) -> None:
    await Reconciliation(bench.host, bench.worker).run()


@on_each_terminal
async def test_what_happened_while_no_agent_ran_is_taken_in_once(machine: CliMachine) -> None:
    async with machine.agent() as first:
        row = await first.shell(profile=NAME)
        command = first.take(row, SendPrompt(prompt="@say 시작\n@wait go\n@say 끝"))
        await machine.office.reached(command, Stage.ACCEPTED)
    (machine.home / "go").touch()
    await machine.spooled(row, "Stop")
    async with machine.agent() as second:
        await reconcile(second)
        verdict = await machine.office.verdict(command)
        assert verdict.result is not None
        assert verdict.result["last_message"] == "시작\n끝"
        result = (await second.prompt(row, "@say next")).result
        assert result is not None
        assert result["last_message"] == "next"
    assert len(machine.cli.received()) == 2
    async with machine.agent() as third:
        await reconcile(third)
        assert (third.live(row).sighting.begun, third.live(row).sighting.ended) == (2, 2)


async def test_a_turn_that_goes_on_is_followed_to_its_end(machine: CliMachine) -> None:
    async with machine.agent() as first:
        row = await first.shell(profile=NAME)
        command = first.take(row, SendPrompt(prompt="@ask Which?\n@say done"))
        await machine.office.seen_as(row.session_id, SessionStatus.WAITING_INPUT)
    async with machine.agent() as second:
        await reconcile(second)
        assert second.live(row).sighting.reason == "Which?"
        assert (await second.do(row, SendText(text="this", answer=True))).error is None
        verdict = await machine.office.verdict(command)
        assert verdict.result is not None
        assert verdict.result["last_message"] == "Answer: this\ndone"


async def test_events_that_were_read_but_not_kept_are_read_again(machine: CliMachine) -> None:
    records = SessionRecords(machine.folder / "sessions")
    async with machine.agent() as first:
        row = await first.shell(profile=NAME)
        before = records.read_all()[row.session_id]
        command = first.take(row, SendPrompt(prompt="@say begun\n@wait go"))
        await machine.office.reached(command, Stage.ACCEPTED)
    (machine.home / "go").touch()
    await machine.spooled(row, "Stop")
    # As if the agent had been killed before it kept that the prompt was accepted: its event is still there then.
    _put_back_accepted(machine, row, before.sighting.hooks_seen)
    records.write(before)
    async with machine.agent() as second:
        await reconcile(second)
        assert (await machine.office.verdict(command)).error is None
        assert (second.live(row).sighting.begun, second.live(row).sighting.ended) == (1, 1)


def _put_back_accepted(machine: CliMachine, row: SessionInfo, after: int) -> None:
    folder = machine.folder / "hooks" / str(row.session_id)
    stop = next(path for path in sorted(folder.glob("0*.json")) if '"Stop"' in path.read_text())
    accepted = stop.read_text().replace('"ended"', '"accepted"').replace('"Stop"', '"UserPromptSubmit"')
    (folder / f"{after + 1:020d}.json").write_text(accepted)


@on_each_terminal
async def test_a_cli_that_ended_unseen_ends_its_turn(machine: CliMachine) -> None:
    async with machine.agent() as first:
        row = await first.shell(profile=NAME)
        command = first.take(row, SendPrompt(prompt="@wait go\n@crash"))
        await machine.office.reached(command, Stage.ACCEPTED)
    (machine.home / "go").touch()
    async with machine.agent() as second:
        await reconcile(second)
        assert (await machine.office.verdict(command)).error is ErrorCode.SESSION_EXITED


async def test_a_session_without_a_record_can_be_stopped_and_used(machine: CliMachine) -> None:
    async with machine.agent() as first:
        row = await first.shell(profile=NAME)
        command = first.take(row, SendPrompt(prompt="@say begun\n@wait never"))
        await machine.office.reached(command, Stage.ACCEPTED)
    SessionRecords(machine.folder / "sessions").remove(row.session_id)
    async with machine.agent() as second:
        await reconcile(second)
        assert (await machine.office.verdict(command)).error is ErrorCode.INDETERMINATE
        assert (await second.do(row, Cancel())).error is None
        assert (await second.prompt(row, "@say next")).error is None
