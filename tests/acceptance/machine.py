"""SEMO as a stranger has it: the real command line, an empty home, a state folder and a repository of its own."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import psycopg
from pydantic import JsonValue

from semo_hub.postgres import SUPERUSER, Postgres
from semo_office.commands import CommandRepository, Outcome
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import CreateSession, SessionInfo, SessionStatus
from semo_office.offices import OfficeStore
from semo_office.sessions import SessionStore

ROOT = Path(__file__).parents[2]
VERB_DEADLINE = 40.0  # s
END_DEADLINE = 30.0  # s
SETUP_S = 20.0  # for what a test needs before it begins
_PAUSE = 0.05  # s

T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """How one `semo …` ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """The one line of JSON on standard output."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)

    def refused_with(self, *parts: str) -> bool:
        """Whether it ended as bad input should: non-zero, one sentence on standard error, nothing else."""
        one_sentence = self.err.startswith("semo: ") and self.err.count("\n") == 1 and "Traceback" not in self.err
        return self.code != 0 and self.out == "" and one_sentence and all(part in self.err for part in parts)


@dataclass
class Machine:
    """A home, a repository and a state folder; nothing runs before the first `semo up`."""

    path: Path
    told: dict[str, str] = field(default_factory=dict)
    """What the last `semo up` printed."""
    variables: dict[str, str] = field(default_factory=dict)
    """More of the environment of every `semo`."""
    terminal: str = "pty"
    server: bool = False
    """Whether `semo up` runs the office's jobs as well."""

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def repository(self) -> Path:
        return self.path / "shop"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.path / "home"),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "SHELL": "/bin/bash",
            "PYTHONPATH": str(ROOT),
            "SEMO_STATE_DIR": str(self.state),
            "SEMO_CONFIG_DIR": str(self.path / "config"),
            **self.variables,
        }

    def semo(self, *arguments: str, stdin: bytes = b"", cwd: Path | None = None, state: Path | None = None) -> Ended:
        """Run the command to its end."""
        began = time.monotonic()
        process = self.begin(*arguments, cwd=cwd, state=state)
        try:
            out, err = process.communicate(stdin, timeout=VERB_DEADLINE)
        finally:
            process.kill()
            process.wait()
        return Ended(process.returncode, out.decode(), err.decode(), time.monotonic() - began)

    def begin(self, *arguments: str, cwd: Path | None = None, state: Path | None = None) -> subprocess.Popen[bytes]:
        """Start the command and leave it running; the caller ends it."""
        environment = self.environment
        if state is not None:
            environment["SEMO_STATE_DIR"] = str(state)
        return subprocess.Popen(
            [sys.executable, "-m", "semo_console", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or self.repository,
            env=environment,
        )

    def up(self) -> None:
        """Start everything, on a free port when it is new."""
        server = "--server" if self.server else "--no-server"
        ended = self.semo("up", "--headless", "--json", "--port", "0", "--terminal", self.terminal, server)
        assert ended.code == 0, ended
        self.told = ended.json

    def ask(self, question: Callable[[Link], Awaitable[T]]) -> T:
        """Ask the office without the command line: what a test needs, but is not about."""

        async def answer() -> T:
            async with await Link.open(CredentialsFile(StateFolder(self.state), "operator")) as link:
                return await question(link)

        return asyncio.run(answer())

    def new_session(self, *, role: str = "shell", profile: str = "shell") -> str:
        """A session that is ready."""
        request = CreateSession(profile=profile, role=role)
        outcome = self.dispatch(lambda dispatcher: dispatcher.dispatch_create_session(request, timeout=SETUP_S))
        self.result(outcome)
        return str(outcome.command.session_id)

    def send(self, session_id: str, prompt: str, *, wait: float = SETUP_S) -> Outcome:
        """Send a prompt; wait: s, 0 not at all."""
        return self.dispatch(lambda dispatcher: dispatcher.dispatch_send_prompt(UUID(session_id), prompt, timeout=wait))

    def outcome(self, command_id: object) -> Outcome:
        """What came of a command, once it has ended."""
        wanted = UUID(str(command_id))
        return self.dispatch(lambda dispatcher: dispatcher.wait_for_outcome(wanted, timeout=SETUP_S, until_input=False))

    def result(self, outcome: Outcome) -> dict[str, JsonValue]:
        """The result of a command that ended well."""
        assert outcome.result is not None, outcome
        assert outcome.result.success, outcome
        return outcome.result.result or {}

    def dispatch(self, act: Callable[[CommandDispatcher], Awaitable[T]]) -> T:
        """Act in the first office."""

        async def in_first_office(link: Link) -> T:
            office = (await OfficeStore(link).get_offices())[0]
            return await act(CommandDispatcher(CommandRepository(link), office.id))

        return self.ask(in_first_office)

    def session(self, session_id: str) -> SessionInfo:
        session = self.ask(lambda link: SessionStore(link).get_session(UUID(session_id)))
        assert session is not None
        return session

    def await_status(self, session_id: str, status: SessionStatus) -> None:
        """Until the session is in this state."""
        eventually(lambda: self.session(session_id).status is status, f"{session_id} is {status}")

    def live_sessions(self) -> list[tuple[str, str]]:
        """Ids and states of what lives, to see that nothing was added or lost."""
        rows = self.ask(lambda link: link.select("agent_sessions", order=["created_at"]))
        return [(str(row["session_id"]), str(row["status"])) for row in rows if row["status"] != "terminated"]

    def pid_of(self, service: str) -> int:
        """The process that serves as hub or agent."""
        record = json.loads((self.state / "run" / f"{service}.json").read_bytes())
        return int(record["pid"])

    def superuser(self, statement: LiteralString) -> None:
        """Change the database behind everybody's back."""
        conninfo = Postgres(self.state / "postgres").conninfo(SUPERUSER)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement)

    def processes(self) -> dict[int, str]:
        """Every process with this machine in its command line, environment or working folder; commands by pid."""
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (folder / "environ").read_bytes().decode(errors="replace")
                traces = (command, environment, str((folder / "cwd").readlink()))
                is_zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if any(str(self.path) in trace for trace in traces) and not is_zombie:
                found[int(folder.name)] = command
        return found

    def close(self) -> None:
        """Stop all that runs. Raises AssertionError when `semo down` left a process behind."""
        ended = self.semo("down", "--end-sessions")
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.processes(), "every process is gone")
        assert not left, f"left behind by `semo down`: {left}\n{ended}"


def eventually(condition: Callable[[], T], what: str, *, within: float = END_DEADLINE) -> T:
    """The first true value of the condition; looked at again and again, for at most `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(_PAUSE)
    return value


@contextmanager
def new_machine() -> Iterator[Machine]:
    """A machine in a folder with a short path, since sockets have to fit; gone afterwards, with its processes."""
    machine = Machine(Path(tempfile.mkdtemp(prefix="semo-", dir="/tmp")).resolve())
    try:
        (machine.path / "home").mkdir()
        machine.repository.mkdir()
        try:
            yield machine
        finally:
            machine.close()
    finally:
        shutil.rmtree(machine.path, ignore_errors=True)
