"""A new start of the agent beside programs that went on."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from semo_agent.journal import Entry, Journal, Phase
from semo_agent.office import Claim
from semo_agent.reconciliation import Reconciliation
from semo_agent.session import Turn
from semo_agent.terminals.base import Key, LaunchSpec, TabInfo
from semo_office.errors import ErrorCode
from semo_office.models import AgentCommand, CreateSession, SendPrompt, SendText, SessionStatus, Stage
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

    def give_back(self, command: AgentCommand) -> AgentCommand:
        """The office gave the command back, and it is claimed again."""
        claimed_anew = command.model_copy(update={"claim_token": uuid4()})
        self.office.commands[command.id].command = claimed_anew
        return claimed_anew


async def rewrite_history(machine: Machine, entry: Entry) -> None:
    """As if the agent had been killed when the journal said this."""
    journal = Journal(machine.folder / "journal.sqlite")
    await journal.open()
    await journal.advance(entry)
    await journal.close()


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
        turn = first.live(row).turn
    await rewrite_history(machine, Entry(command.id, row.session_id, Phase.TYPING, turn))
    async with machine.agent() as second:
        await reconcile(second)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE


async def test_what_was_given_back_while_it_ran_is_followed_when_it_is_claimed_again(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.take(row, SendPrompt(prompt="read line; echo $line"))
        await first.office.reached(command, Stage.ACCEPTED)
    claimed_anew = machine.give_back(command)
    async with machine.agent() as second:
        await reconcile(second)
        second.worker.take(claimed_anew)
        await second.do(row, SendText(text="once", answer=True))
        verdict = await second.office.verdict(command)
        assert verdict.result is not None
        assert verdict.result["output"] == "once\nonce"


async def test_what_was_given_back_and_may_have_been_typed_is_not_typed_again(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.take(row, SendPrompt(prompt="sleep 100"))
        await first.office.reached(command, Stage.ACCEPTED)
        turn = first.live(row).turn
    await rewrite_history(machine, Entry(command.id, row.session_id, Phase.TYPING, turn))
    claimed_anew = machine.give_back(command)
    async with machine.agent() as second:
        await reconcile(second)
        second.worker.take(claimed_anew)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE


async def test_a_text_that_was_written_is_not_written_again(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.office.write(row.session_id, SendText(text="x"))
        await first.host.journal.begin(Entry(command.id, row.session_id, Phase.WRITTEN))
    async with machine.agent() as second:
        await reconcile(second)
        assert (await second.office.verdict(command)).error is None
        screen = await second.host.terminal.screen(str(second.live(row).tab_id))
        assert not any(line.text.endswith("x") for line in screen.rows)


async def test_half_a_prompt_is_cleared_before_the_next_one(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        session = first.live(row)
        command = first.office.write(row.session_id, SendPrompt(prompt="echo half"))
        claim = Claim(command.id, command.claim_token or uuid4())
        turn = Turn(claim=claim, number=session.sighting.begun + 1, text_bytes=9, bracketed=True)
        await first.host.journal.begin(Entry(command.id, row.session_id, Phase.TYPING, turn))
        await first.host.terminal.write(str(session.tab_id), b"\x1b[200~echo ha")
    async with machine.agent() as second:
        await reconcile(second)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE
        verdict = await second.prompt(row, "echo whole")
        assert verdict.result is not None
        assert verdict.result["output"] == "whole"


async def test_marks_that_were_read_but_not_kept_count(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        before = first.host.records.read_all()[row.session_id]
        await first.prompt(row, "true")
        seen = first.live(row).sighting
    first.host.records.write(before)
    async with machine.agent() as second:
        await reconcile(second)
        assert second.live(row).sighting.ended == seen.ended


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


async def test_a_turn_that_the_journal_does_not_know_ends_as_unknown_and_the_session_goes_on(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        command = first.take(row, SendPrompt(prompt="read line; echo $line"))
        await first.office.reached(command, Stage.ACCEPTED)
    for file in machine.folder.glob("journal.sqlite*"):
        file.unlink()
    async with machine.agent() as second:
        await reconcile(second)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE
        await second.do(row, SendText(text="ended", answer=True))
        await second.office.seen_as(row.session_id, SessionStatus.READY)


async def test_a_program_that_ended_unseen_before_its_first_prompt_fails_its_creation_with_how(
    machine: Machine,
) -> None:
    async with machine.agent() as first:
        first.write_profile("brief", ["sh", "-c", "read line; echo last words; exit 7"])
        row = machine.office.write_session(str(machine.folder / "home"), "brief")
        command = first.take(row, CreateSession(profile="brief"))
        await first.office.seen_with_tab(row.session_id)
        tab_id = str(first.live(row).tab_id)
    async with machine.agent() as between:
        # Not an agent: nobody looks at the sessions while the program ends.
        await between.host.terminal.write(tab_id, b"\r")
        async with asyncio.timeout(20):
            tabs = await between.host.terminal.list()
            while tabs[0].exit is None:
                await asyncio.sleep(0.01)
                tabs = await between.host.terminal.list()
    async with machine.agent() as second:
        await reconcile(second)
        verdict = await second.office.verdict(command)
        assert verdict.error is ErrorCode.LAUNCH_FAILED
        assert verdict.message is not None
        assert "ended with exit status 7." in verdict.message
        assert "last words" in verdict.message


async def test_whose_marks_count_is_known_before_the_program_can_send_any(machine: Machine) -> None:
    async with machine.agent() as first:
        known: list[str | None] = []
        opens = first.host.terminal.open

        async def look(spec: LaunchSpec) -> TabInfo:
            known.extend(record.mark_id for record in first.host.records.read_all().values())
            return await opens(spec)

        first.host.terminal.open = look  # type: ignore[method-assign]  # to look at one moment
        row = await first.shell()
        assert known == [first.live(row).mark_id]
        assert known != [None]


async def test_the_enter_of_a_prompt_is_in_the_journal_before_it_is_sent(machine: Machine) -> None:
    async with machine.agent() as first:
        row = await first.shell()
        phases: list[Phase] = []
        presses = first.host.terminal.press

        async def look(tab_id: str, key: Key) -> None:
            phases.extend(entry.phase for entry in await first.host.journal.entries())
            await presses(tab_id, key)

        first.host.terminal.press = look  # type: ignore[method-assign]  # to look at one moment
        await first.prompt(row, "true")
        assert phases == [Phase.ENTERED]


QUICK_SHELL = """
name = "quick"
[launch]
integration = "shell"
[evidence]
source = "osc133"
[typing]
bracketed_paste = true
accept_timeout_ms = 500
"""


async def test_a_prompt_whose_enter_was_never_sent_is_cleared_before_the_next_one(machine: Machine) -> None:
    (machine.folder / "profiles").mkdir()
    (machine.folder / "profiles" / "quick.toml").write_text(QUICK_SHELL)
    async with machine.agent() as first:
        row = await first.shell(profile="quick")
        command = machine.office.write(row.session_id, SendPrompt(prompt="echo never"))
        turn = Turn(
            Claim(command.id, command.claim_token or uuid4()), number=1, text_bytes=10, bracketed=True, entered=True
        )
        await first.host.journal.begin(Entry(command.id, row.session_id, Phase.ENTERED, turn))
        await first.host.terminal.paste(str(first.live(row).tab_id), "echo never")
    async with machine.agent() as second:
        await reconcile(second)
        assert (await second.office.verdict(command)).error is ErrorCode.INDETERMINATE
        verdict = await second.prompt(row, "echo next")
        assert verdict.result is not None, verdict
        assert verdict.result["output"] == "next"
