"""The agent process: puts its parts together, runs them until it is told to stop, and leaves the programs alone."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict

from semo_agent.budget import Budget
from semo_agent.errors import Stopping, Superseded
from semo_agent.failpoints import Failpoints
from semo_agent.hooks.spool import Spools
from semo_agent.host import Host, Sessions
from semo_agent.identity import host_id_of, host_name, only_agent, owner_id_of
from semo_agent.journal import Journal
from semo_agent.lease import USUAL_TERMS, Lease, Terms
from semo_agent.office import LinkedOffice
from semo_agent.profiles.census import take_census
from semo_agent.profiles.profile import Profiles
from semo_agent.publisher import Publisher
from semo_agent.reconciliation import Reconciliation
from semo_agent.records import SessionRecords
from semo_agent.stopping import Stop, Tasks
from semo_agent.subscriber import OfficeSubscriber
from semo_agent.terminals.base import Terminal
from semo_agent.terminals.choice import TerminalChoice, choose_terminal
from semo_agent.worker import Worker
from semo_office.commands import CommandRepository
from semo_office.config import CredentialsFile, read_message_rate
from semo_office.events import SessionRealtimeEvents
from semo_office.link import Link
from semo_office.locations import StateFolder, config_folder, write_json
from semo_office.offices import OfficeStore
from semo_office.sessions import SessionStore
from semo_office.sleep import SleepWatch

SETTLE_S: Final = 2.0
DRAIN_S: Final = 5.0
SUPERSEDED_STATUS: Final = 3

_log = structlog.get_logger(__name__)


class ProcessRecord(BaseModel):
    """`run/agent.json`: there while the agent holds its lease and listens."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started_at: AwareDatetime
    host_id: UUID
    instance_id: UUID
    terminal: str
    terminal_why: str = ""
    link: str
    link_since: AwareDatetime


async def run_agent(
    state: StateFolder, terminal: Terminal | TerminalChoice = TerminalChoice.AUTO, *, lease_terms: Terms = USUAL_TERMS
) -> int:
    """Act for this host until SIGTERM or SIGINT; the exit status: 0, or 3 when another process took over.

    state: prepared. terminal: one to use, or the name of one. SIGHUP: look for new offices now.

    Raises AgentError and OfficeError, each one sentence, when it can't run.
    """
    with only_agent(state.agent):
        if isinstance(terminal, TerminalChoice):
            terminal = await choose_terminal(state.agent, terminal)
            _log.info("terminal_chosen", terminal=terminal.name, why=terminal.why)
        agent = await Agent.open(state, os.environ, terminal, lease_terms)
        loop = asyncio.get_running_loop()
        for number, act in ((signal.SIGTERM, agent.stop), (signal.SIGINT, agent.stop), (signal.SIGHUP, agent.refresh)):
            loop.add_signal_handler(number, act)
        return await agent.run()


class Agent:
    """All parts of one agent process."""

    def __init__(
        self,
        state: StateFolder,
        environment: Mapping[str, str],
        terminal: Terminal,
        link: Link,
        lease_terms: Terms,
        *,
        host_id: UUID,
        owner_id: UUID,
    ) -> None:
        self._state = state
        self._link = link
        self._link_changed = asyncio.Event()
        self._record = ProcessRecord(
            pid=os.getpid(),
            started_at=datetime.now(UTC),
            host_id=host_id,
            instance_id=uuid4(),
            terminal=terminal.name,
            terminal_why=terminal.why,
            link=link.status.state,
            link_since=link.status.since,
        )
        self._owner_id = owner_id
        self._stop = Stop()
        self._stop.then(self._link_changed.set)
        self._work, self._events, self._link_watch = Tasks(self._stop), Tasks(self._stop), Tasks(self._stop)
        self._offices = OfficeStore(link)
        self._office = self._make_office(lease_terms)
        self._host = self._make_host(environment, terminal)
        self._worker = Worker(self._host, self._work)
        self._publisher = self._make_publisher()
        self._host.sessions.on_change(self._publisher.note_change)
        self._subscriber = OfficeSubscriber(
            link,
            self._offices,
            self._office,
            host_id=host_id,
            stop=self._stop,
            take=self._worker.take,
            audience_of=self._publisher.audience_of,
        )

    @classmethod
    async def open(
        cls, state: StateFolder, environment: Mapping[str, str], terminal: Terminal, lease_terms: Terms
    ) -> "Agent":
        """Read who we are and open the way to the office. Raises ConfigurationError."""
        host_id = await asyncio.to_thread(host_id_of, state)
        owner_id = await asyncio.to_thread(owner_id_of, state, environment)
        link = await Link.open(CredentialsFile(state, "host"))
        return cls(state, environment, terminal, link, lease_terms, host_id=host_id, owner_id=owner_id)

    def stop(self) -> None:
        """Claim and type nothing more; `run` returns soon."""
        self._stop.set()

    def refresh(self) -> None:
        """Look now for offices that are new."""
        self._subscriber.refresh()

    async def run(self) -> int:
        """From the first lease to the last report; the exit status. Raises what ended the agent early."""
        async with AsyncExitStack() as ending:
            # Undone in reverse: the work, then the terminal, then the link.
            ending.push_async_callback(self._close_link)
            try:
                await self._begin(ending)
                await self._stop.wait()
            except Stopping:
                _log.info("stopped_before_it_began")
            except Superseded as err:
                return _gave_way(err)
        return self._exit_status()

    async def _begin(self, ending: AsyncExitStack) -> None:
        self._link_watch.start("link", self._link.wait_closed())
        ending.push_async_callback(self._host.journal.close)
        await self._host.journal.open()
        await self._host.terminal.start()
        ending.push_async_callback(self._put_away)
        self._events.start("terminal events", self._host.watch_events())
        await self._office.patiently(self._register)
        await self._office.take_lease()
        await Reconciliation(self._host, self._worker).run()
        self._work.start("hooks", self._host.watch_hooks())
        self._work.start("profiles", self._report_profiles())
        await self._office.patiently(self._subscriber.listen)
        self._work.start("lease", self._subscriber.keep_lease())
        self._work.start("claims", self._subscriber.claim_until_stop())
        self._work.start("output", self._publisher.run())
        self._work.start("process record", self._announce())

    async def _register(self) -> None:
        await self._offices.register_host(self._record.host_id, host_name(), self._owner_id)

    async def _report_profiles(self) -> None:
        """Beside the rest: a program may take a while to say its version."""
        found = await take_census(self._host.profiles, self._record.host_id, self._host.environment)
        await self._office.patiently(lambda: self._offices.report_profiles(self._record.instance_id, found))

    async def _announce(self) -> None:
        """Say in `run/agent.json` that the agent is there, and how well it reaches the office."""
        no_longer = self._link.on_status(lambda _status: self._link_changed.set())
        path = self._state.process_record("agent")
        while not self._stop:
            self._link_changed.clear()
            status = self._link.status
            record = self._record.model_copy(update={"link": status.state, "link_since": status.since})
            await asyncio.to_thread(write_json, path, record)
            await self._link_changed.wait()
        no_longer()

    async def _put_away(self) -> None:
        """Let what runs end, keep what is known, and leave the programs alone."""
        self._stop.set()
        await self._work.settle(SETTLE_S)
        await self._worker.lifecycle.forget_ended()
        await self._host.terminal.stop()
        # What the terminal read to its last byte has been seen before it is kept.
        await self._events.settle(DRAIN_S)
        for session in self._host.sessions:
            await self._host.keep(session)
        self._state.process_record("agent").unlink(missing_ok=True)
        _log.info("stopped", sessions=len(list(self._host.sessions)))

    async def _close_link(self) -> None:
        self._stop.set()
        await self._link.close()
        await self._link_watch.settle(DRAIN_S)

    def _exit_status(self) -> int:
        failures = [tasks.failure for tasks in (self._work, self._events, self._link_watch) if tasks.failure]
        for failure in failures:
            if not isinstance(failure, Superseded):
                raise failure
        return _gave_way(failures[0]) if failures else 0

    def _make_publisher(self) -> Publisher:
        return Publisher(
            self._host.terminal,
            self._host.sessions,
            self._office,
            SessionRealtimeEvents(self._link),
            instance=self._record.instance_id,
            budget=Budget(read_message_rate(), time.monotonic),
            stop=self._stop,
            timing=self._link.timing,
        )

    def _poke(self) -> None:
        self._subscriber.poke()

    def _make_office(self, lease_terms: Terms) -> LinkedOffice:
        return LinkedOffice(
            CommandRepository(self._link),
            SessionStore(self._link),
            host_id=self._record.host_id,
            instance=self._record.instance_id,
            stop=self._stop,
            random=random.random,
            claimable=self._poke,
            lease=Lease(time.monotonic, time.time, lease_terms),
            slept=SleepWatch(time.monotonic, time.time).slept,
        )

    def _make_host(self, environment: Mapping[str, str], terminal: Terminal) -> Host:
        records = SessionRecords(self._state.agent / "sessions")
        records.prepare()
        spools = Spools(self._state.agent / "hooks")
        spools.prepare()
        return Host(
            terminal=terminal,
            office=self._office,
            sessions=Sessions(self._stop),
            profiles=Profiles(config_folder() / "profiles"),
            records=records,
            spools=spools,
            journal=Journal(self._state.agent / "journal.sqlite"),
            environment=environment,
            stop=self._stop,
            # It stands still while the machine sleeps, on Linux and on macOS: limits count waking time.
            clock=time.monotonic,
            sleep=asyncio.sleep,
            failpoints=Failpoints.named_by(environment),
        )


def _gave_way(err: BaseException) -> int:
    _log.error("superseded", message=f"{err} This one types nothing more; the programs go on.")
    return SUPERSEDED_STATUS
