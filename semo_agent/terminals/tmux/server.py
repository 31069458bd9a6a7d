"""Our own tmux server: found, started when there is none, and spoken to."""

import asyncio
import functools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from semo_agent.errors import ConfigurationError, TerminalDied, TerminalError, TerminalTimeout
from semo_agent.holder.place import find_listener, make_private, remove_left_socket, tmux_socket
from semo_agent.terminals.tmux.control import CLIENT_FORMAT, SESSION, ControlClient, clients_of_agents, end_clients

OLDEST: Final = (3, 2)
"""The first version that starts clients without output and tells a program's end as we read it."""
FEEDS_VARIABLE: Final = "SEMO_FEEDS"

_VERSION = re.compile(r"(\d+)\.(\d+)")
_PROGRAM_SECONDS: Final = 10.0
_STARTING_SECONDS: Final = 5.0
"""How long a server that is just ending may refuse a new one."""
_ENDING_SECONDS: Final = 1.0
"""How long a server may take to end that takes no clients any more."""
_LOOKS: Final = 5
_LOOK_AGAIN_SECONDS: Final = 0.02
_KEEPER: Final = "semo"
"""A window without a process: a session needs one, also when no tab is open."""
_TERMINFO = (
    "/etc/terminfo",
    "/lib/terminfo",
    "/usr/share/terminfo",
    "/usr/lib/terminfo",
    "/opt/homebrew/share/terminfo",
)

# Run by tmux where a program ended (all of its output has left tmux then), and where a client has gone.
_ENDED: Final = "ended"
_ON_DEATH = f"wait-for -S {_ENDED}"
_ON_DETACH = "if-shell -F '#{&&:#{==:#{session_windows},1},#{==:#{session_attached},0}}' kill-server"
_OPTIONS: Final = (
    ("set-option", "-g", "remain-on-exit", "on"),
    ("set-option", "-g", "history-limit", "5000"),
    ("set-option", "-g", "status", "off"),
    ("set-option", "-g", "automatic-rename", "off"),
    ("set-option", "-g", "allow-rename", "off"),
    ("set-option", "-g", "default-shell", "/bin/sh"),
    ("set-option", "-g", "destroy-unattached", "off"),
    ("set-option", "-s", "escape-time", "0"),
    ("set-option", "-s", "set-clipboard", "off"),
    ("set-hook", "-g", "pane-died", _ON_DEATH),
    ("set-hook", "-g", "client-detached", _ON_DETACH),
)


class TmuxServer:
    """The server of one folder, which also holds its socket and the pipes of its windows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tmux"
        self.socket = tmux_socket(folder)
        self.pid = ""
        """Of the server that was last attached to."""
        self._control: ControlClient | None = None
        self._watcher: ControlClient | None = None
        self._connecting = asyncio.Lock()
        self._left = False

    async def connect(self) -> bool:
        """Attach to the server, started if need be; whether it is another than before.

        Raises `ConfigurationError` where there is no usable tmux, `TerminalDied` when it can't be started.
        """
        async with self._connecting:
            if self._control is not None and not self._control.closed.is_set():
                return False
            program = await asyncio.to_thread(usable_tmux)
            before = self.pid
            await self._attach_or_start(program)
            if not before and self._control is not None:
                await self._end_left_clients(self._control)
            return self.pid != before

    async def run(self, *commands: str) -> list[list[str]]:
        """Run commands in the server, attached anew if need be. Raises `TerminalDied` when it is gone."""
        if self._control is None:
            raise TerminalError("The terminal was not started.")
        async with self._connecting:
            if self._control.closed.is_set():
                # A person may have detached us; the server may live on.
                await self._attach()
        return await self._control.run(*commands)

    async def lives(self) -> bool:
        """Whether the server that was attached to answers still."""
        known = self.pid
        try:
            await self.run("refresh-client")
        except TerminalDied:
            return False
        return self.pid == known

    async def ends(self) -> AsyncGenerator[None, None]:
        """One item at first and whenever programs ended since. Raises `TerminalDied` when the server is gone."""
        watcher = self._watcher = await self._new_client()
        try:
            # tmux looks itself once a second and tells what changed; the hook tells it at once.
            await watcher.run("refresh-client -B 'ends:%*:#{pane_dead}#{pane_dead_status}#{pane_dead_signal}'")
            while True:
                yield
                await watcher.until_told(f"wait-for {_ENDED}")
        finally:
            await watcher.close()

    def remind_of_children(self) -> None:
        """Have the server look for children that ended: now and then tmux 3.3 misses the signal of one."""
        if self._control is not None and not self._control.closed.is_set():
            # Connected, so the number is still the server's.
            os.kill(int(self.pid), signal.SIGCHLD)

    async def close(self) -> None:
        """Detach for good; a server without tabs ends."""
        self._left = True
        for client in (self._watcher, self._control):
            if client is not None:
                await client.close()
        for _ in range(_LOOKS):
            if await asyncio.to_thread(remove_left_socket, self.socket, self.folder):
                break
            # It lives on for its tabs, or is just ending.
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _attach_or_start(self, program: str) -> None:
        deadline, last = time.monotonic() + _STARTING_SECONDS, False
        while not last:
            with suppress(TerminalDied):
                await self._attach()
                return
            last = time.monotonic() > deadline
            await self._start(program, last=last)
        await self._attach()

    async def _attach(self) -> None:
        self._control = await self._new_client()
        ((self.pid,),) = await self._control.run("display-message -p '#{pid}'")

    async def _end_left_clients(self, control: ControlClient) -> None:
        """End the clients of agents that were killed.

        tmux keeps one for ever when nobody has read its last reply, since its output never empties, and cannot
        end itself then.
        """
        (lines,) = await control.run(f"list-clients -F '{CLIENT_FORMAT}'")
        end_clients(set(clients_of_agents(lines)) - {control.pid})

    async def _new_client(self) -> ControlClient:
        self._refuse_when_left()
        program = await asyncio.to_thread(usable_tmux)
        client = await ControlClient.connect(program, self.socket, _environment(self.folder))
        try:
            self._refuse_when_left()
        except TerminalDied:
            await client.close()
            raise
        return client

    def _refuse_when_left(self) -> None:
        if self._left:
            raise TerminalDied("The terminal was stopped.")

    async def _start(self, program: str, *, last: bool) -> None:
        """Start the server. One that is just ending may refuse it: then it is no error but the last time."""
        await asyncio.to_thread(self._prepare)
        # The options come before the first window, so that it stays.
        commands = [
            ("start-server",),
            *_OPTIONS,
            ("set-option", "-g", "default-terminal", term()),
            ("new-session", "-d", "-s", SESSION, "-n", _KEEPER, "exit"),
        ]
        words = [word for command in commands for word in (*command, ";")][:-1]
        try:
            async with asyncio.timeout(_PROGRAM_SECONDS):
                process = await asyncio.create_subprocess_exec(
                    *(program, "-u", "-S", str(self.socket), "-f", os.devnull, *words),
                    env=_environment(self.folder),
                    cwd="/",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
                _, complained = await process.communicate()
        except TimeoutError as err:
            raise TerminalTimeout(f"tmux did not start within {_PROGRAM_SECONDS:g} s.") from err
        if process.returncode and last:
            raise TerminalDied(f"tmux can't be started: {complained.decode('utf-8', 'replace').strip()}")
        if process.returncode:
            await asyncio.to_thread(self._end_stuck)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _end_stuck(self) -> None:
        """Kill a server that neither takes clients nor ends: it waits for one that will never leave."""
        deadline = time.monotonic() + _ENDING_SECONDS
        while (pid := find_listener(self.socket)) is not None:
            if time.monotonic() > deadline:
                end_clients([pid])
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _prepare(self) -> None:
        try:
            for folder in (self.folder.parent, self.folder, self.socket.parent):
                make_private(folder)
        except OSError as err:
            raise TerminalDied(f"tmux can't be started: {err}") from err


def usable_tmux() -> str:
    """The path of tmux. Blocking. Raises `ConfigurationError` when there is none, or a too old one."""
    program = shutil.which("tmux")
    if program is None:
        raise ConfigurationError("There is no tmux on this machine. Install it, or choose another --terminal.")
    said = _version_of(program)
    found = _VERSION.search(said)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        raise ConfigurationError(f"{said} is too old; SEMO needs tmux {OLDEST[0]}.{OLDEST[1]} or newer.")
    return program


@functools.cache
def _version_of(program: str) -> str:
    try:
        return subprocess.run(
            [program, "-V"], capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as err:
        raise ConfigurationError(f"{program} does not work: {err}") from err


@functools.cache
def term() -> str:
    """What programs in tmux are told of their terminal: the newest of its names that this system describes."""
    for root in (str(Path.home() / ".terminfo"), *_TERMINFO):
        if any(Path(root, letter, "tmux-256color").exists() for letter in ("t", "74")):
            return "tmux-256color"
    return "screen-256color"


def _environment(folder: Path) -> Mapping[str, str]:
    """Of tmux itself: nothing of ours goes to it but where to find things."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "SHELL": "/bin/sh",
        "LC_ALL": "C.UTF-8",
        FEEDS_VARIABLE: str(folder),
    }
