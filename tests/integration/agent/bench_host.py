"""A host with a real terminal and an office in memory: `async with running_host(...) as bench`."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from semo_agent.hooks.spool import Spools
from semo_agent.host import Host, Sessions
from semo_agent.journal import Journal
from semo_agent.office import Verdict
from semo_agent.profiles.profile import Profiles
from semo_agent.records import SessionRecords
from semo_agent.session import Session
from semo_agent.stopping import Stop, Tasks
from semo_agent.terminals.base import Screen, Terminal
from semo_agent.terminals.pty import PtyTerminal
from semo_agent.worker import Worker
from semo_office.models import (
    AgentCommand,
    CommandPayload,
    CreateSession,
    SendPrompt,
    SessionInfo,
)
from tests.integration.agent.holder_end import end_holder
from tests.integration.agent.recording_office import RecordingOffice


@dataclass(slots=True)
class Bench:
    """What a test holds in its hands."""

    folder: Path
    home: Path
    office: RecordingOffice
    host: Host
    worker: Worker
    tasks: Tasks

    def take(self, row: SessionInfo, payload: CommandPayload) -> AgentCommand:
        command = self.office.write(row.session_id, payload)
        self.worker.take(command)
        return command

    async def do(self, row: SessionInfo, payload: CommandPayload, timeout: float = 20.0) -> Verdict:
        return await self.office.verdict(self.take(row, payload), timeout)

    async def shell(self, *, profile: str = "shell", cols: int = 120, cwd: Path | None = None) -> SessionInfo:
        """A session that is ready."""
        row = self.office.write_session(str(cwd or self.home), profile)
        verdict = await self.do(row, CreateSession(profile=profile, cols=cols))
        assert verdict.error is None, verdict.message
        return self.office.rows[row.session_id]

    async def prompt(self, row: SessionInfo, text: str, timeout: float = 20.0) -> Verdict:
        return await self.do(row, SendPrompt(prompt=text), timeout)

    def write_profile(self, name: str, argv: list[str], extra: str = "") -> None:
        """A profile of this host's user; its program marks its prompts itself."""
        folder = self.folder / "profiles"
        folder.mkdir(exist_ok=True)
        head = f'name = "{name}"\n[launch]\nargv = {json.dumps(argv)}\n[evidence]\nsource = "osc133"\n'
        (folder / f"{name}.toml").write_text(head + extra)

    async def shows(self, row: SessionInfo, text: str, timeout: float = 5.0) -> None:
        """Wait until a row of the screen holds this text. Raises TimeoutError."""
        session = self.live(row)
        async with asyncio.timeout(timeout):
            while not any(text in line.text for line in (await self._screen(session)).rows):
                await session.next_event(timeout)

    async def _screen(self, session: Session) -> Screen:
        return await self.host.terminal.screen(str(session.tab_id))

    def live(self, row: SessionInfo) -> Session:
        session = self.host.sessions.find(row.session_id)
        assert session is not None
        return session


@asynccontextmanager
async def running_host(
    *, environment: Mapping[str, str] | None = None, office: RecordingOffice | None = None
) -> AsyncIterator[Bench]:
    """A host in a folder of its own with an empty HOME; nothing of it is left afterwards."""
    # Short, because the holder's socket is in it.
    with tempfile.TemporaryDirectory(prefix="semo-") as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        try:
            async with bench_in(folder, home, environment or {}, office=office) as bench:
                yield bench
        finally:
            await end_holder(folder / "holder")


@asynccontextmanager
async def bench_in(
    folder: Path,
    home: Path,
    environment: Mapping[str, str],
    *,
    office: RecordingOffice | None = None,
    terminal: Terminal | None = None,
) -> AsyncIterator[Bench]:
    """One life of an agent on a host; the programs go on after it. office: the one of an earlier life."""
    office = office or RecordingOffice()
    stop = Stop()
    tasks = Tasks(stop)
    terminal = terminal or PtyTerminal(folder / "holder")
    records = SessionRecords(folder / "sessions")
    records.prepare()
    spools = Spools(folder / "hooks")
    spools.prepare()
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    host = Host(
        terminal=terminal,
        office=office,
        sessions=Sessions(stop),
        profiles=Profiles(folder / "profiles"),
        records=records,
        spools=spools,
        journal=journal,
        environment={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
        stop=stop,
        clock=time.monotonic,
        sleep=asyncio.sleep,
    )
    worker = Worker(host, tasks)
    await terminal.start()
    events = Tasks(stop)
    events.start("events", host.watch_events())
    tasks.start("hooks", host.watch_hooks())
    try:
        yield Bench(folder, home, office, host, worker, tasks)
    finally:
        stop.set()
        await tasks.settle(5.0)
        await terminal.stop()
        await events.settle(5.0)
        for session in host.sessions:
            await host.keep(session)
        await journal.close()
    for failure in (tasks.failure, events.failure):
        assert failure is None, repr(failure)
