"""The agent process against a real hub: real link, real terminal, real shell."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from semo_agent.failpoints import VARIABLE
from semo_agent.lease import USUAL_TERMS
from semo_office.commands import CommandRepository, NewCommand
from semo_office.config import CredentialsFile
from semo_office.errors import ErrorCode
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import (
    AgentCommandResult,
    Cancel,
    CommandPayload,
    CreateSession,
    GetOutput,
    Office,
    SendPrompt,
    SendText,
    SessionStatus,
    Stage,
    Terminate,
)
from semo_office.offices import OfficeStore
from semo_office.sessions import SessionStore
from tests.integration.agent.holder_end import end_holder
from tests.integration.hub_fixture import ROOT, RunningHub
from tests.programs.agent_cli_profile import NAME, AgentCli, write_profile

DEADLINE_S = 20.0


class AgentProcess:
    """`semo-agent` on one state folder."""

    def __init__(self, state: StateFolder, home: Path) -> None:
        self.state = state
        self.failpoints = home / "failpoints"
        self._home = home
        self.process: asyncio.subprocess.Process | None = None
        self.proper_ends = {0}

    async def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "semo_agent.cli", "--state-dir", str(self.state.path)),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={"HOME": str(self._home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT),
                     "SHELL": str(shutil.which("bash")), "LANG": "C.UTF-8",
                     VARIABLE: str(self.failpoints)},
            )  # fmt: skip

    async def ready(self) -> dict[str, str]:
        """Its record, once it is there. The file appears by itself: there is nothing to wait for but the file."""
        path = self.state.process_record("agent")
        async with asyncio.timeout(DEADLINE_S):
            while not path.exists():
                assert self.process is not None
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.01)
        return dict(json.loads(path.read_text()))

    def arm(self, place: str, how: str) -> None:
        """It is killed (or stopped: `how`) when it comes to this place."""
        self.failpoints.mkdir(exist_ok=True)
        (self.failpoints / place).write_text(how)

    async def reached(self, place: str) -> None:
        """Until it came to an armed place."""
        path = self.failpoints / f"{place}.reached"
        async with asyncio.timeout(DEADLINE_S):
            while not path.exists():  # noqa: ASYNC110 - a process that stops says it in a file only
                await asyncio.sleep(0.01)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            # It may have been frozen.
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    @property
    def log_path(self) -> Path:
        return self.state.path / "agent.log"

    @property
    def log(self) -> str:
        return self.log_path.read_text()


@dataclass
class Desk:
    """An operator of an office, and the agent process that serves it."""

    office: Office
    link: Link
    agent: AgentProcess

    @property
    def commands(self) -> CommandRepository:
        return CommandRepository(self.link)

    @property
    def sessions(self) -> SessionStore:
        return SessionStore(self.link)

    async def send(self, session_id: UUID, payload: CommandPayload) -> UUID:
        command = NewCommand.carrying(payload, office_id=self.office.id, session_id=session_id)
        return (await self.commands.create_command(command)).id

    async def result(self, command_id: UUID) -> AgentCommandResult:
        return await self.commands.wait_for_result(command_id, DEADLINE_S)

    async def do(self, session_id: UUID, payload: CommandPayload) -> AgentCommandResult:
        return await self.result(await self.send(session_id, payload))

    async def shell(self) -> UUID:
        session_id = uuid4()
        result = await self.do(session_id, CreateSession(profile="shell"))
        assert result.success, result.message
        return session_id

    async def seen_as(self, session_id: UUID, status: SessionStatus) -> None:
        async with asyncio.timeout(DEADLINE_S):
            async with self.link.expect(self.office.id, ("agent_sessions", session_id)) as change:
                while (row := await self.sessions.get_session(session_id)) is None or row.status is not status:
                    await change.next(1.0)

    async def reached(self, command_id: UUID, stage: Stage) -> None:
        async with asyncio.timeout(DEADLINE_S):
            async with self.link.expect(self.office.id, ("agent_commands", command_id)) as change:
                while stage not in [event.stage for event in await self.commands.events(command_id)]:
                    await change.next(1.0)


@pytest.fixture
async def desk(hub: RunningHub, tmp_path: Path) -> AsyncIterator[Desk]:
    state = StateFolder(hub.state_dir).prepare()
    async with serving_agent(state, tmp_path) as agent, await Link.open(CredentialsFile(state, "operator")) as link:
        yield Desk(await furnish(link, agent, tmp_path), link, agent)


@asynccontextmanager
async def serving_agent(state: StateFolder, home: Path) -> AsyncIterator[AgentProcess]:
    async with ended_afterwards(AgentProcess(state, home)) as agent:
        await agent.start()
        yield agent


@asynccontextmanager
async def ended_afterwards(agent: AgentProcess) -> AsyncIterator[AgentProcess]:
    """Nothing of it is left, and if it was started it has ended as it should."""
    try:
        yield agent
    finally:
        if agent.process is not None:
            try:
                assert await agent.stop() in agent.proper_ends, agent.log
            finally:
                await end_holder(agent.state.agent)
                agent.log_path.unlink()


async def furnish(link: Link, agent: AgentProcess, folder: Path) -> Office:
    """An office for a folder, served by the agent from now on."""
    host_id = UUID((await agent.ready())["host_id"])
    offices = OfficeStore(link)
    office = await offices.create_office("test", str(folder))
    await offices.attach_host(office.id, host_id, str(folder))
    assert agent.process is not None
    agent.process.send_signal(signal.SIGHUP)
    return office


async def test_a_prompt_goes_the_whole_way_and_its_receipt_is_complete(desk: Desk) -> None:
    session_id = await desk.shell()
    command_id = await desk.send(session_id, SendPrompt(prompt="echo $((6*7))"))
    result = await desk.result(command_id)
    assert result.result is not None
    assert (result.result["output"], result.result["exit_status"]) == ("42", 0)
    stages = [event.stage for event in await desk.commands.events(command_id)]
    assert stages == ["queued", "claimed", "typed", "accepted", "turn_ended"]


async def test_prompts_of_one_session_keep_their_order(desk: Desk) -> None:
    session_id = await desk.shell()
    sent = [await desk.send(session_id, SendPrompt(prompt=f"echo {n} >> order; cat order")) for n in range(5)]
    results = [await desk.result(command_id) for command_id in sent]
    assert results[-1].result is not None
    assert results[-1].result["output"] == "0\n1\n2\n3\n4"


async def test_an_answer_and_a_cancel_pass_a_waiting_prompt(desk: Desk) -> None:
    session_id = await desk.shell()
    asking = await desk.send(session_id, SendPrompt(prompt="echo it's"))
    await desk.seen_as(session_id, SessionStatus.WAITING_INPUT)
    waiting = await desk.send(session_id, SendPrompt(prompt="sleep 100"))
    assert (await desk.do(session_id, SendText(text="'", answer=True))).success
    assert (await desk.result(asking)).success
    await desk.reached(waiting, Stage.ACCEPTED)
    last = await desk.send(session_id, SendPrompt(prompt="echo last"))
    assert (await desk.do(session_id, Cancel())).success
    assert (await desk.result(waiting)).error is ErrorCode.CANCELLED
    assert (await desk.result(last)).success


async def test_a_turn_goes_on_while_the_agent_is_away_and_is_completed_after_its_start(desk: Desk) -> None:
    session_id = await desk.shell()
    command_id = await desk.send(session_id, SendPrompt(prompt="echo begun; read line; echo $line"))
    await desk.reached(command_id, Stage.ACCEPTED)
    assert await desk.agent.stop() == 0
    assert not desk.agent.state.process_record("agent").exists()
    await desk.agent.start()
    assert (await desk.do(session_id, SendText(text="ended", answer=True))).success
    result = await desk.result(command_id)
    assert result.success, result.message
    assert result.result is not None
    assert result.result["output"] == "begun\nended\nended"
    assert (await desk.do(session_id, SendPrompt(prompt="echo next"))).success


async def test_what_ended_while_the_agent_was_away_is_reported(desk: Desk, tmp_path: Path) -> None:
    session_id = await desk.shell()
    command_id = await desk.send(session_id, SendPrompt(prompt="until [ -e go ]; do sleep 0.05; done; exit 5"))
    await desk.reached(command_id, Stage.ACCEPTED)
    await desk.agent.stop()
    (tmp_path / "go").touch()
    await desk.agent.start()
    result = await desk.result(command_id)
    assert result.error is ErrorCode.SESSION_EXITED
    assert result.result is not None
    assert result.result["exit_status"] == 5
    await desk.seen_as(session_id, SessionStatus.TERMINATED)


async def test_a_session_whose_terminal_is_gone_is_buried(desk: Desk) -> None:
    session_id = await desk.shell()
    command_id = await desk.send(session_id, SendPrompt(prompt="sleep 100"))
    await desk.reached(command_id, Stage.ACCEPTED)
    await desk.agent.stop()
    await end_holder(desk.agent.state.agent)
    await desk.agent.start()
    assert (await desk.result(command_id)).error is ErrorCode.SESSION_EXITED
    await desk.seen_as(session_id, SessionStatus.TERMINATED)
    row = await desk.sessions.get_session(session_id)
    assert row is not None
    assert row.reason == "the terminal is gone"


async def test_a_second_agent_on_the_host_says_so(desk: Desk) -> None:
    second = AgentProcess(desk.agent.state, Path(desk.office.repo_path))
    await second.start()
    assert second.process is not None
    async with asyncio.timeout(DEADLINE_S):
        assert await second.process.wait() == 1
    assert "An agent runs for" in second.log


async def test_a_superseded_agent_stops_with_its_own_status(desk: Desk) -> None:
    async with await Link.open(CredentialsFile(desk.agent.state, "host")) as link:
        await CommandRepository(link).renew_leases(uuid4(), take=True)
    assert desk.agent.process is not None
    async with asyncio.timeout(DEADLINE_S):
        assert await desk.agent.process.wait() == 3
    desk.agent.proper_ends = {3}
    assert "Another agent process acts for this host now." in desk.agent.log


async def test_a_prompt_that_was_only_claimed_ends_with_its_session(desk: Desk) -> None:
    session_id = await desk.shell()
    desk.agent.arm("after_claim", "kill")
    command_id = await desk.send(session_id, SendPrompt(prompt="echo never"))
    assert desk.agent.process is not None
    async with asyncio.timeout(DEADLINE_S):
        assert await desk.agent.process.wait() == -signal.SIGKILL
    await end_holder(desk.agent.state.agent)
    await desk.agent.start()
    assert (await desk.result(command_id)).error is ErrorCode.SESSION_EXITED


@pytest.fixture
async def twin(desk: Desk, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """An agent with the identity of the first, on a state folder of its own; not started yet."""
    # Short, because the holder's socket is in it.
    with tempfile.TemporaryDirectory(prefix="semo-") as name:
        state = StateFolder(Path(name)).prepare()
        for path in ("credentials/host.json", "credentials/operator.json", "agent/host.json"):
            shutil.copy2(desk.agent.state.path / path, state.path / path)
        async with ended_afterwards(AgentProcess(state, tmp_path)) as twin:
            yield twin


async def test_r2_of_two_agents_with_one_identity_the_older_stops_and_no_command_runs_twice(
    desk: Desk, twin: AgentProcess, tmp_path: Path
) -> None:
    session_ids = [await desk.shell() for _ in range(2)]
    sent = {
        n: await desk.send(session_ids[n % 2], SendPrompt(prompt=f"echo {n} >> {tmp_path}/ran; sleep 0.05"))
        for n in range(40)
    }
    await desk.reached(sent[6], Stage.ACCEPTED)
    await twin.start()
    await twin.ready()
    assert desk.agent.process is not None
    async with asyncio.timeout(DEADLINE_S):
        assert await desk.agent.process.wait() == 3
    desk.agent.proper_ends = {3}
    results = {n: await desk.result(command_id) for n, command_id in sent.items()}
    ran = [int(line) for line in (tmp_path / "ran").read_text().split()]
    assert len(ran) == len(set(ran))
    assert {n for n, result in results.items() if result.success} <= set(ran)
    assert {result.error for result in results.values()} <= {None, ErrorCode.SESSION_EXITED}
    assert (await desk.do(await desk.shell(), SendPrompt(prompt="echo next"))).success


async def test_an_agent_that_was_replaced_while_it_was_frozen_types_nothing_more(
    desk: Desk, twin: AgentProcess, tmp_path: Path
) -> None:
    session_id = await desk.shell()
    desk.agent.arm("after_claim", "stop")
    command_id = await desk.send(session_id, SendPrompt(prompt=f"touch {tmp_path}/ran"))
    await desk.agent.reached("after_claim")
    await twin.start()
    await twin.ready()
    # The newer one knows nothing of the terminals of the older.
    assert (await desk.result(command_id)).error is ErrorCode.SESSION_EXITED
    # So long the older trusts its lease without asking, by its own clock.
    await asyncio.sleep(USUAL_TERMS.sure_s)
    assert desk.agent.process is not None
    desk.agent.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(DEADLINE_S):
        assert await desk.agent.process.wait() == 3
    desk.agent.proper_ends = {3}
    assert not (tmp_path / "ran").exists()
    assert (await desk.do(await desk.shell(), SendPrompt(prompt="echo next"))).success


async def test_what_ended_after_the_office_gave_it_up_is_kept_and_the_session_goes_on(
    desk: Desk, hub: RunningHub, tmp_path: Path
) -> None:
    session_id = await desk.shell()
    command_id = await desk.send(session_id, SendPrompt(prompt="read line; echo $line"))
    await desk.reached(command_id, Stage.ACCEPTED)
    assert desk.agent.process is not None
    os.kill(desk.agent.process.pid, signal.SIGSTOP)
    try:
        with psycopg.connect(hub.superuser_conninfo) as database:
            database.execute("update leases set expires_at = now() - interval '11 min'")
        await desk.commands.expire_commands()
        assert (await desk.result(command_id)).error is ErrorCode.INDETERMINATE
    finally:
        os.kill(desk.agent.process.pid, signal.SIGCONT)
    assert (await desk.do(session_id, SendText(text="late", answer=True))).success
    await desk.seen_as(session_id, SessionStatus.READY)
    with psycopg.connect(hub.superuser_conninfo) as database:
        row = database.execute("select late_result from agent_commands where id = %s", [command_id]).fetchone()
    assert row is not None
    assert row[0]["result"]["output"] == "late\nlate"
    assert (await desk.do(session_id, SendPrompt(prompt="echo next"))).success


async def test_keys_and_prompts_are_not_in_the_log(desk: Desk) -> None:
    session_id = await desk.shell()
    assert (await desk.do(session_id, SendPrompt(prompt="echo xyzzy"))).success
    assert (await desk.do(session_id, GetOutput())).success
    assert (await desk.do(session_id, Terminate())).success
    secrets = [
        CredentialsFile(desk.agent.state, name)().access_token.get_secret_value() for name in ("host", "operator")
    ]
    for secret in ("xyzzy", *secrets):
        assert secret not in desk.agent.log


@pytest.fixture
def cli(tmp_path: Path) -> AgentCli:
    """The scripted agent CLI, in the folder where the agent looks for the user's profiles."""
    return write_profile(tmp_path / ".config" / "semo" / "profiles")


async def test_an_agent_killed_in_a_turn_of_an_agent_cli_brings_it_to_its_end_at_its_next_start(
    desk: Desk, cli: AgentCli, tmp_path: Path
) -> None:
    session_id = uuid4()
    assert (await desk.do(session_id, CreateSession(profile=NAME))).success
    desk.agent.arm("during_turn", "kill")
    command_id = await desk.send(session_id, SendPrompt(prompt="첫 줄\n@say 하나\n@wait go\n@say 둘"))
    assert desk.agent.process is not None
    async with asyncio.timeout(DEADLINE_S):
        assert await desk.agent.process.wait() == -signal.SIGKILL
    (tmp_path / "go").touch()
    spool = desk.agent.state.agent / "hooks" / str(session_id)
    async with asyncio.timeout(DEADLINE_S):
        while not any('"Stop"' in path.read_text() for path in spool.glob("0*.json")):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    await desk.agent.start()
    result = await desk.result(command_id)
    assert result.success, result.message
    assert result.result is not None
    assert result.result["last_message"] == "하나\n둘"
    assert (await desk.do(session_id, SendPrompt(prompt="@say next"))).success
    assert len(cli.received()) == 2
    assert "하나" not in desk.agent.log


async def test_an_agent_reports_its_profiles_with_the_versions_of_their_programs(desk: Desk, cli: AgentCli) -> None:
    await desk.agent.stop()
    (cli.log.parent / "profiles" / "broken.toml").write_text("name = 1\n")
    await desk.agent.start()
    async with asyncio.timeout(DEADLINE_S):
        # Nobody is told of them: they are read when somebody needs them.
        while len(profiles := await OfficeStore(desk.link).profiles(desk.office.id)) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    told = {profile.name: (profile.cli_version, profile.job_prompt, profile.done_by) for profile in profiles}
    assert told == {NAME: ("agent-cli 1.2.3", "briefing", "nonce"), "shell": (None, "verbatim", "exit_status")}
