"""One client of a tmux server in control mode: commands in, their replies out, without a fork for each."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from semo_agent.errors import TerminalDied, TerminalError, TerminalTimeout

SESSION = "semo"
"""The one session of our server; each of its windows is a tab."""
REASONABLE = 5.0
"""Seconds; tmux answers at once whatever the programs do."""

CLIENT_FORMAT = "#{client_pid} #{client_flags}"
"""What `clients_of_agents` reads."""

_LONGEST_LINE = 1024 * 1024
_QUIET = "no-output"
"""The flag of an agent's client: output comes by the feeds."""
_OURS = b"1"
"""The flag of a reply to a command of this client; the reply to its own start has another."""


@dataclass(slots=True)
class _Question:
    """Commands that were sent as one line: tmux runs them one after the other, and nothing in between."""

    commands: int
    answer: asyncio.Future[list[list[str]]]
    blocks: list[list[str]] = field(default_factory=list)


class ControlClient:
    """One connection. `closed` is set when it is lost; then every command raises `TerminalDied`."""

    def __init__(
        self, process: asyncio.subprocess.Process, commands: asyncio.StreamWriter, replies: asyncio.StreamReader
    ) -> None:
        self._process = process
        self._commands = commands
        self._replies = replies
        self._questions: deque[_Question] = deque()
        self._attached = asyncio.Event()
        self.closed = asyncio.Event()
        self.news = asyncio.Event()
        """Something that was subscribed to has changed, or the connection is lost."""
        self._told: asyncio.Task[list[list[str]]] | None = None
        self._receiving = asyncio.create_task(self._receive(), name="tmux control")

    @classmethod
    async def connect(cls, program: str, socket: Path, env: Mapping[str, str]) -> "ControlClient":
        """Attach to the session. Raises `TerminalDied` when there is none, `TerminalTimeout`."""
        words = (program, "-u", "-S", str(socket), "-C", "attach-session", "-f", _QUIET, "-t", f"={SESSION}")
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                env=dict(env),
                cwd="/",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # A Ctrl-C in the agent's terminal is not for it.
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        except OSError as err:
            raise TerminalDied(f"tmux can't be started: {err.strerror}.") from err
        if process.stdin is None or process.stdout is None:
            raise TerminalDied("tmux was started without pipes.")
        client = cls(process, process.stdin, process.stdout)
        await client._see_attached()
        return client

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self, *commands: str, timeout: float | None = REASONABLE) -> list[list[str]]:
        """Run commands, one after the other with nothing in between; the lines that each printed.

        The first that fails ends them. timeout: s. Raises `TerminalError` with tmux's own words, or a leaf of it.
        """
        if self.closed.is_set():
            raise TerminalDied("The tmux server is gone.")
        question = _Question(len(commands), asyncio.get_running_loop().create_future())
        self._questions.append(question)
        self._commands.write(" ; ".join(commands).encode() + b"\n")
        try:
            async with asyncio.timeout(timeout):
                # Replies come in order: a question that nobody waits for any more keeps its place.
                return await asyncio.shield(question.answer)
        except TimeoutError as err:
            raise TerminalTimeout(f"tmux did not answer within {timeout:g} s.") from err

    async def until_told(self, command: str) -> None:
        """Until a command that waits has ended, or there is news. The command stays asked until it has ended.

        Raises `TerminalDied` when the connection is lost.
        """
        if self._told is None or self._told.done():
            self._told = asyncio.create_task(self.run(command, timeout=None), name=f"tmux {command}")
            self._told.add_done_callback(self._note_told)
        await self.news.wait()
        self.news.clear()
        if self._told.done():
            self._told.result()

    def _note_told(self, task: asyncio.Task[list[list[str]]]) -> None:
        # Looked at here, since nobody may wait for it any more.
        if not task.cancelled():
            task.exception()
        self.news.set()

    async def close(self) -> None:
        """Detach, and see the client gone."""
        self._commands.close()
        try:
            async with asyncio.timeout(REASONABLE):
                await self.closed.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._receiving

    async def _see_attached(self) -> None:
        attached = asyncio.create_task(self._attached.wait())
        ended = asyncio.create_task(self.closed.wait())
        done, waiting = await asyncio.wait({attached, ended}, timeout=REASONABLE, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if attached in done:
            return
        await self.close()
        if not done:
            raise TerminalTimeout("The tmux server does not answer.")
        raise TerminalDied("The tmux server does not run.")

    async def _receive(self) -> None:
        try:
            while line := await self._replies.readline():
                word, _, rest = line.rstrip(b"\n").partition(b" ")
                if word == b"%begin":
                    await self._read_block(rest)
                elif word == b"%session-changed":
                    self._attached.set()
                elif word == b"%subscription-changed":
                    self.news.set()
        except (OSError, ValueError, EOFError):
            # A line without end, or a block: the client was killed.
            self._commands.close()
        finally:
            self.closed.set()
            self.news.set()
            self._fail_all()
            await self._process.wait()

    async def _read_block(self, stamp: bytes) -> None:
        lines: list[str] = []
        while True:
            line = (await self._replies.readline()).decode("utf-8", "replace").removesuffix("\n")
            if line in (f"%end {stamp.decode()}", f"%error {stamp.decode()}"):
                break
            if not line and self._replies.at_eof():
                raise EOFError
            lines.append(line)
        if stamp.rpartition(b" ")[2] == _OURS:
            self._answer(lines, failed=line.startswith("%error"))

    def _answer(self, lines: list[str], *, failed: bool) -> None:
        question = self._questions[0]
        question.blocks.append(lines)
        if not failed and len(question.blocks) < question.commands:
            return
        self._questions.popleft()
        if question.answer.done():
            return
        if failed:
            question.answer.set_exception(TerminalError(f"tmux refused it: {' '.join(lines)}."))
            # Whoever gave up waiting for it does not look any more.
            question.answer.exception()
        else:
            question.answer.set_result(question.blocks)

    def _fail_all(self) -> None:
        while self._questions:
            answer = self._questions.popleft().answer
            if not answer.done():
                answer.set_exception(TerminalDied("The tmux server is gone."))
                answer.exception()


def clients_of_agents(lines: Iterable[str]) -> list[int]:
    """The pids of agents' clients among those of a server, listed in `CLIENT_FORMAT`."""
    fields = (line.split(" ") for line in lines)
    return [int(pid) for pid, flags in fields if _QUIET in flags.split(",")]


def end_clients(pids: Iterable[int]) -> None:
    """Kill clients; their server notices."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def quoted(word: str) -> str:
    """A word as tmux reads it back, whatever is in it."""
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r")):
        word = word.replace(character, escape)
    return f'"{word}"'
