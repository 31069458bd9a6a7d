"""The processes of a soak: a hub, agents that come again when they are killed, clients likewise, and one office."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from semo_agent.failpoints import VARIABLE
from semo_hub.auth import Keys
from semo_office.locations import StateFolder
from tests.integration.hub_fixture import ROOT, RunningHub, end_hub, start_hub

PATIENCE_S: Final = 60.0
PAUSE_S: Final = 0.05
PROFILE: Final = """
name = "counting"
[launch]
argv = ["counting"]
[evidence]
source = "osc133"
[typing]
enter_gap_ms = 1
bracketed_paste = true
"""


@dataclass
class Process:
    """A program that is started again after each kill. `kills`: how often it was killed."""

    argv: list[str]
    env: dict[str, str]
    log: Path
    running: "subprocess.Popen[bytes] | None" = None
    kills: int = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, *self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=ROOT
            )

    @property
    def pid(self) -> int:
        assert self.running is not None
        return self.running.pid

    def has_ended(self) -> bool:
        return self.running is None or self.running.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.kills += 1
        self.signal(signal.SIGKILL)
        if self.running is not None:
            self.running.wait(PATIENCE_S)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.running is not None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        return self.running.wait(PATIENCE_S)


@dataclass
class Host:
    """One agent with its identity and its terminal."""

    host_id: UUID
    user_id: UUID
    state: StateFolder
    terminal: Path
    failpoints: Path
    process: Process
    sessions: list[UUID] = field(default_factory=list)


class World:
    """Everything that runs. Blocking; one soak at a time in `folder`."""

    def __init__(self, folder: Path, agents: int, agent_options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.hub = start_hub(folder / "hub")
        self.hub_kills = 0
        self.lawless = False
        """Whether a test took a rule away."""
        self.office_id, self.operator_id = uuid4(), uuid4()
        self._state = StateFolder(folder / "operator").prepare()
        self._sign_in(self._state, "operator", self.operator_id)
        (folder / "config" / "profiles").mkdir(parents=True)
        (folder / "config" / "profiles" / "counting.toml").write_text(PROFILE)
        self.call(self.operator_id, "create_office", self.office_id, "soak", "/")
        self.hosts = [self._make_host(number, agent_options) for number in range(agents)]
        self.clients: list[Process] = []

    @property
    def operator(self) -> StateFolder:
        return self._state

    def start_agents(self, sessions_each: int) -> None:
        for host in self.hosts:
            host.process.start()
        for host in self.hosts:
            self.await_agent(host)
            host.sessions = [self._new_session(host) for _ in range(sessions_each)]
        wanted = sum(len(host.sessions) for host in self.hosts)
        self.await_(lambda: self._count_ready() == wanted, "every session is ready")

    def await_agent(self, host: Host) -> None:
        """Until its process has taken up its work."""
        record = host.state.process_record("agent")

        def serves() -> bool:
            with suppress(FileNotFoundError, ValueError):
                return bool(json.loads(record.read_bytes())["pid"] == host.process.pid)
            return False

        self.await_(serves, f"agent {host.state.path.name} serves")

    def kill_hub(self) -> None:
        """The gateway dies with all connections, and comes again at the same address."""
        self.hub_kills += 1
        self.hub.process.kill()
        self.hub.process.wait()
        self.hub = start_hub(self.folder / "hub", port=int(self.hub.url.rpartition(":")[2]))

    def start_client(self, plan: Path) -> Process:
        arguments = [str(self._state.path), str(self.office_id), str(plan), str(plan.with_suffix(".told"))]
        client = Process(["-m", "tests.soak.client", *arguments], self._environment(), plan.with_suffix(".log"))
        client.start()
        self.clients.append(client)
        return client

    def rows(self, statement: LiteralString, *values: object) -> list[dict[str, Any]]:
        """Ask or change the database behind everybody's back."""
        with psycopg.connect(self.hub.superuser_conninfo, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def call(self, user_id: UUID, function: str, *values: object) -> list[dict[str, Any]]:
        """Call a function under somebody's identity."""
        with psycopg.connect(self.hub.superuser_conninfo, row_factory=dict_row) as connection:
            claims = json.dumps({"role": "authenticated", "sub": str(user_id)})
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            connection.execute("set local role authenticated")
            name = psycopg.sql.Identifier("public", function)
            places = psycopg.sql.SQL(", ").join([psycopg.sql.Placeholder()] * len(values))
            return connection.execute(psycopg.sql.SQL("select * from {}({})").format(name, places), values).fetchall()

    def await_(self, condition: Callable[[], bool], what: str, within: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
            time.sleep(PAUSE_S)

    def close(self) -> None:
        """End everything. Raises AssertionError when an agent did not end as it should, in a world with its rules."""
        for client in self.clients:
            if not client.has_ended():
                client.kill()
        statuses = {host.state.path.name: host.process.stop() for host in self.hosts if host.process.running}
        end_hub(self.hub)
        shutil.rmtree(self.folder / "hub", ignore_errors=True)
        assert self.lawless or not any(statuses.values()), f"agents ended with {statuses}; see {self.folder}"

    def _make_host(self, number: int, options: Sequence[str]) -> Host:
        state = StateFolder(self.folder / f"agent{number}").prepare()
        host_id, user_id = uuid4(), uuid4()
        self._sign_in(state, "host", user_id)
        (state.agent / "host.json").write_text(json.dumps({"host_id": str(host_id)}))
        terminal, failpoints = state.path / "terminal", state.path / "failpoints"
        failpoints.mkdir()
        env = {**self._environment(), VARIABLE: str(failpoints), "SEMO_OWNER_ID": str(self.operator_id)}
        argv = ["-m", "tests.soak.agent", str(state.path), str(terminal), *options]
        process = Process(argv, env, state.path / "agent.log")
        self.call(user_id, "register_host", host_id, f"host {number}", self.operator_id)
        self.call(self.operator_id, "attach_host", self.office_id, host_id, "/", "auto", 500)
        return Host(host_id, user_id, state, terminal, failpoints, process)

    def _new_session(self, host: Host) -> UUID:
        session_id = uuid4()
        payload = Jsonb({"profile": "counting", "host_id": str(host.host_id), "cwd": "/"})
        self.call(self.operator_id, "create_command", uuid4(), self.office_id, "create_session", payload, session_id)
        return session_id

    def _count_ready(self) -> int:
        [row] = self.rows("select count(*) from agent_sessions where status = 'ready'")
        return int(row["count"])

    def _sign_in(self, state: StateFolder, name: str, user_id: UUID) -> None:
        content = {
            "url": self.hub.url,
            "publishable_key": Keys.load(self.folder / "hub" / "hub" / "keys.json").publishable_key,
            "user_id": str(user_id),
            "access_token": self.hub.token_for(str(user_id), ttl=86400.0),
            "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        }
        (state.credentials / f"{name}.json").write_text(json.dumps(content))

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "SEMO_CONFIG_DIR": str(self.folder / "config"),
        }


__all__ = ["Host", "Process", "RunningHub", "World"]
