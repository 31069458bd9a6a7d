"""What the tests of all terminals share: terminals on a scratch folder, and waiting for what they tell."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from semo_agent.errors import TerminalDied
from semo_agent.holder.client import HolderClient
from semo_agent.holder.place import socket_path
from semo_agent.terminals.base import (
    Exited,
    ExitStatus,
    LaunchSpec,
    Line,
    MarkSeen,
    Screen,
    Size,
    TabInfo,
    Terminal,
    TerminalEvent,
)
from semo_agent.terminals.held import HeldTerminal
from semo_agent.terminals.iterm2.terminal import ITerm2Terminal
from semo_agent.terminals.pty import PtyTerminal
from semo_agent.terminals.tmux.server import TmuxServer, term
from semo_agent.terminals.tmux.terminal import TmuxTerminal
from tests.iterm2_server.running import RunningITerm2

PATIENCE = 60.0
"""Seconds; how long a test waits for anything before it fails."""

ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
RECEIVER = Path(__file__).parents[2] / "programs" / "receiver.py"
COUNT_UP = """
import sys, time
for number in range(int(sys.argv[1])):
    sys.stdout.write(f"{number}\\n")
    if number % 500 == 0:
        sys.stdout.flush()
        time.sleep(0.002)
"""


class Watched:
    """A terminal whose events are collected, with waits that end as soon as an event makes them true."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.events: list[TerminalEvent] = []
        self.gone = False
        self._more = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name="event reader")

    async def _read(self) -> None:
        async for event in self.terminal.events():
            self.events.append(event)
            self._more.set()

    async def open(self, *argv: str, tag: str = "t", size: Size | None = None, cwd: str = "/") -> TabInfo:
        spec = LaunchSpec(tag=tag, argv=argv, cwd=cwd, env=ENV, size=size or Size(80, 24))
        return await self.terminal.open(spec)

    async def python(self, program: str, *arguments: str, tag: str = "t", size: Size | None = None) -> TabInfo:
        return await self.open(sys.executable, "-S", "-c", program, *arguments, tag=tag, size=size)

    async def receiver(self, record: Path, *options: str, tag: str = "t") -> TabInfo:
        tab = await self.open(sys.executable, "-S", str(RECEIVER), str(record), *options, tag=tag)
        await self.mark(tab, "B")
        return tab

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a check holds; it is made again after every event."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._more.clear()
                if await check():
                    return
                await self._more.wait()

    async def shows(self, tab: TabInfo, text: str) -> Screen:
        """Wait until the screen of a tab shows a text; returns the screen."""
        found: list[Screen] = []

        async def check() -> bool:
            screen = await self.terminal.screen(tab.tab_id)
            found.append(screen)
            return any(text in row.text for row in screen.rows)

        try:
            await self.until(check)
        except TimeoutError as err:
            rows = [row.text for row in found[-1].rows]
            raise AssertionError(f"{text!r} did not appear in {rows}") from err
        return found[-1]

    async def mark(self, tab: TabInfo, kind: str, count: int = 1) -> MarkSeen:
        """Wait for the `count`-th mark of a kind in a tab."""

        def seen() -> list[MarkSeen]:
            marks = (event for event in self.events if isinstance(event, MarkSeen))
            return [mark for mark in marks if (mark.tab_id, mark.kind) == (tab.tab_id, kind)]

        async def check() -> bool:
            return len(seen()) >= count

        await self.until(check)
        return seen()[count - 1]

    async def exited(self, tab: TabInfo) -> ExitStatus:
        """Wait for the end of a program."""

        def ends() -> list[ExitStatus]:
            exits = (event for event in self.events if isinstance(event, Exited))
            return [event.exit for event in exits if event.tab_id == tab.tab_id]

        async def check() -> bool:
            return bool(ends())

        await self.until(check)
        return ends()[0]

    async def everything(self, tab: TabInfo) -> list[Line]:
        """All lines of all epochs, then the rows of the screen."""
        screen = await self.terminal.screen(tab.tab_id)
        log: list[Line] = []
        for epoch in range(screen.epoch + 1):
            log.extend(await self.terminal.lines(tab.tab_id, 0, 10_000_000, epoch=epoch))
        return [*log, *screen.rows]

    async def stop(self) -> None:
        self.gone = True
        await self.terminal.stop()
        async with asyncio.timeout(PATIENCE):
            await self._reader

    async def vanish(self) -> None:
        """Go without saving anything, as an agent that is killed."""
        assert isinstance(self.terminal, HeldTerminal)
        self.gone = True
        tasks = [*self.terminal._tasks, self._reader]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if isinstance(self.terminal, TmuxTerminal):
            # Its clients end with an agent.
            await self.terminal._server.close()
        if isinstance(self.terminal, ITerm2Terminal):
            await self.terminal._connection.close()


class Kit:
    """Terminals of one scratch folder."""

    term: str
    """What programs are told of their terminal."""
    death: ExitStatus
    """How a tab ends whose backend is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Watched] = []

    @abstractmethod
    def terminal(self) -> Terminal: ...

    @abstractmethod
    async def kill_backend(self) -> None: ...

    async def start(self) -> Watched:
        """Another agent on the same tabs."""
        terminal = self.terminal()
        await terminal.start()
        watched = Watched(terminal)
        self._made.append(watched)
        return watched

    async def tidy(self) -> None:
        """Stop the agents, end the tabs, and see that no process is left."""
        try:
            for watched in self._made:
                if not watched.gone:
                    await watched.stop()
        finally:
            with contextlib.suppress(TerminalDied):
                await self.shut_down()
            await wait_for_release(self.folder / "holder.lock")

    async def shut_down(self) -> None:
        async with self.client() as client:
            await client.request("shutdown", grace=0.2, timeout=PATIENCE)

    async def holder_pid(self) -> int:
        async with self.client() as client:
            return client.holder_pid

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[HolderClient]:
        """A bare connection to the holder."""
        client = await HolderClient.connect(socket_path(self.folder), lambda _header, _body: None)
        receiving = asyncio.create_task(client.run())
        try:
            yield client
        finally:
            await client.close()
            await receiving


class PtyKit(Kit):
    """PTY terminals."""

    term = "xterm-256color"
    death = ExitStatus(reason="holder died")

    def terminal(self) -> Terminal:
        return PtyTerminal(self.folder)

    async def kill_backend(self) -> None:
        os.kill(await self.holder_pid(), signal.SIGKILL)


class TmuxKit(Kit):
    """tmux terminals."""

    term = term()
    death = ExitStatus(reason="tmux died")

    def terminal(self) -> Terminal:
        return TmuxTerminal(self.folder)

    async def kill_backend(self) -> None:
        os.kill(int(await self.tmux("display-message", "-p", "#{pid}")), signal.SIGKILL)

    async def tmux(self, *words: str) -> str:
        """What a tmux command prints, as a person would run it; nothing where no server runs."""
        socket = str(TmuxServer(self.folder).socket)
        command = ["tmux", "-u", "-S", socket, *words]
        done = await asyncio.to_thread(subprocess.run, command, env=ENV, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    async def shut_down(self) -> None:
        # The pipes of the windows end with tmux, for which the holder waits.
        await asyncio.gather(super().shut_down(), self.tmux("kill-server"))

    async def tidy(self) -> None:
        try:
            await super().tidy()
        finally:
            await self.tmux("kill-server")
            await self._see_nothing_left()

    async def _see_nothing_left(self) -> None:
        """No process of tmux or of a window has the folder in its words or environment."""
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(processes_of, self.folder):  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0.01)


def processes_of(folder: Path) -> dict[int, str]:
    """The processes with a folder in their words or environment, by pid."""
    told: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if os.fsencode(folder) in shown and is_alive(int(process.name)):
                told[int(process.name)] = shown.replace(b"\0", b" ").decode(errors="replace")
    return told


class ITerm2Kit(Kit):
    """Terminals in iTerm2, which runs for all tests of a module."""

    term = "xterm-256color"
    death = ExitStatus(reason="iTerm2 died")

    def __init__(self, folder: Path, iterm2: RunningITerm2) -> None:
        super().__init__(folder)
        self.iterm2 = iterm2

    def terminal(self) -> Terminal:
        os.environ.update(self.iterm2.environment)
        return ITerm2Terminal(self.folder)

    async def kill_backend(self) -> None:
        """It crashes, and its owner starts it again."""
        await asyncio.to_thread(self.iterm2.kill)
        await asyncio.to_thread(self.iterm2.launch)

    async def by_hand(self, deed: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(self.iterm2.by_hand, deed, **arguments)

    async def sessions(self) -> list[str]:
        """The sessions of iTerm2 that show tabs of this folder."""
        found = []
        for session in await self.by_hand("sessions"):
            # It may be closed meanwhile.
            with contextlib.suppress(AssertionError):
                tag = (await self.by_hand("look", session=session))["variables"].get("user.semo")
                found += [session] if str(self.folder) in str(tag) else []
        return found

    async def tidy(self) -> None:
        await super().tidy()
        for session in await self.sessions():
            await self.by_hand("close_tab", session=session, undo=0.0)
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(processes_of, self.folder):  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0.01)


async def wait_for_release(lock: Path) -> None:
    """Wait until no holder has the lock of a folder."""
    async with asyncio.timeout(PATIENCE):
        while not _is_free(lock):  # noqa: ASYNC110 - another process tells nobody that it is gone
            await asyncio.sleep(0.01)


def _is_free(lock: Path) -> bool:
    if not lock.exists():
        return True
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended but was not reaped yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def texts(rows: Sequence[Line]) -> list[str]:
    return [row.text for row in rows]
