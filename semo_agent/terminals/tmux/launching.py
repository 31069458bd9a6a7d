"""The files by which a program is started in a window, and learning whether it could be."""

import asyncio
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import semo_agent
from semo_agent.errors import LaunchFailed, TerminalTimeout
from semo_agent.holder.spawn import failure_in
from semo_agent.terminals.base import LaunchSpec, Size
from semo_agent.terminals.tmux.control import SESSION, quoted
from semo_agent.terminals.tmux.launch import STARTED
from semo_agent.terminals.tmux.pane import FORMAT
from semo_agent.terminals.tmux.server import FEEDS_VARIABLE

_SOURCES: Final = Path(semo_agent.__file__).parents[1]
_LAUNCH_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Launching:
    """One start in a folder that is ours alone. `tab_id`: letters and digits."""

    folder: Path
    tab_id: str
    spec: LaunchSpec
    size: Size

    @property
    def feed(self) -> Path:
        return self.folder / f"{self.tab_id}.feed"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.tab_id}.report"

    @property
    def words(self) -> Path:
        """What `launch` reads."""
        return self.folder / f"{self.tab_id}.json"

    def prepare(self) -> None:
        """Make the pipes and write the words. Blocking."""
        os.mkfifo(self.feed, 0o600)
        os.mkfifo(self.report, 0o600)
        wanted = {
            "argv": self.spec.argv,
            "cwd": self.spec.cwd,
            "env": dict(self.spec.env),
            "size": [self.size.cols, self.size.rows],
            "report": str(self.report),
        }
        descriptor = os.open(self.words, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(wanted, file)

    def tidy(self) -> None:
        """Remove what is not needed any more; the feed's pipe goes when the holder has it."""
        self.report.unlink(missing_ok=True)
        self.words.unlink(missing_ok=True)

    def commands(self) -> tuple[str, ...]:
        """To be run at once: tmux reads nothing from the pane before the pipe is in place."""
        pane = f"={SESSION}:={self.tab_id}"
        program = (sys.executable, "-S", "-m", "semo_agent.terminals.tmux.launch", str(self.words))
        feed = f'exec >"${FEEDS_VARIABLE}/{self.feed.name}"; echo; exec cat'
        return (
            f"new-window -d -t ={SESSION}: -n {self.tab_id} -e {quoted(f'PYTHONPATH={_SOURCES}')} "
            + " ".join(quoted(word) for word in program),
            f"pipe-pane -O -t {pane} {shlex.quote(feed)}",
            f"set-option -p -t {pane} @semo_tab {self.tab_id}",
            f"set-option -p -t {pane} @semo_id {quoted(self.spec.tag)}",
            # It also makes the size the window's own, whoever attaches.
            f"resize-window -t {pane} -x {self.size.cols} -y {self.size.rows}",
            f"list-panes -t {pane} -F {FORMAT}",
        )

    async def see_started(self, reading: int) -> None:
        """Wait until the program runs. reading: the report. Raises `LaunchFailed`, `TerminalTimeout`."""
        try:
            async with asyncio.timeout(_LAUNCH_SECONDS):
                said = await _read_report(reading, self.report)
        except TimeoutError as err:
            raise TerminalTimeout(f"The program did not start within {_LAUNCH_SECONDS:g} s.") from err
        failure = failure_in(said, self.spec.argv, self.spec.cwd)
        if failure is not None:
            raise LaunchFailed(failure)

    def open_report(self) -> int:
        return os.open(self.report, os.O_RDONLY | os.O_NONBLOCK)


async def _read_report(reading: int, path: Path) -> bytes:
    """What the launcher says after its first byte, up to the end of file."""
    # As long as this end is open, end of file can't come before the launcher has begun.
    keep_open = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb"))
    try:
        try:
            await reader.readexactly(len(STARTED))
        finally:
            os.close(keep_open)
        return await reader.read()
    finally:
        transport.close()
