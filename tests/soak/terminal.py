"""The counting terminal: everything that is typed goes to a file first, and outlives the agent that typed it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from semo_agent.errors import TabNotFound, TerminalError
from semo_agent.keys import encode_key
from semo_agent.paste import encode_paste
from semo_agent.terminals.base import (
    Changed,
    Excerpt,
    Exited,
    ExitStatus,
    Key,
    LaunchSpec,
    Line,
    MarkSeen,
    Position,
    Screen,
    Size,
    TabInfo,
    Terminal,
    TerminalEvent,
)
from semo_agent.terminals.event_stream import EventStream
from tests.soak.program import EPOCH, PROMPT_COLUMN, Emitted, Program

SIZE: Final = Size(120, 40)
HANGUP: Final = ExitStatus(signal=1)
MARKS_KEPT: Final = 64


@dataclass(slots=True)
class Tab:
    """One program and the file of what it was given."""

    info: TabInfo
    path: Path
    program: Program = field(default_factory=Program)
    exit: ExitStatus | None = None
    told: int = 0
    """Ordinal of the last mark that the agent was told."""


class CountingTerminal(Terminal):
    """Tabs are files in `folder`, one line for every write: what a killed agent wrote is there for the next one."""

    name = "counting"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tabs: dict[str, Tab] = {}
        self._events = EventStream()
        self._changed = asyncio.Event()
        self._stopping = False
        self._teller: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        for path in sorted(self._folder.glob("*.jsonl")):
            tab = read_tab(path)
            if tab.exit is None:
                self._tabs[tab.info.tab_id] = tab
        self._teller = asyncio.create_task(self._tell_due(), name="counting terminal")

    async def stop(self) -> None:
        self._stopping = True
        self._changed.set()
        if self._teller is not None:
            await self._teller
        self._events.close()

    async def see_usable(self) -> None:
        """A folder is all it needs."""

    async def open(self, spec: LaunchSpec) -> TabInfo:
        info = TabInfo(uuid4().hex[:12], spec.tag, os.getpid(), spec.size)
        tab = Tab(info, self._folder / f"{info.tab_id}.jsonl")
        self._note(tab, open=spec.tag)
        self._tabs[info.tab_id] = tab
        return info

    async def list(self) -> Sequence[TabInfo]:
        return [tab.info for tab in self._tabs.values()]

    async def write(self, tab_id: str, data: bytes) -> None:
        self._note(self._tab(tab_id), hex=data.hex())

    async def paste(self, tab_id: str, text: str) -> None:
        await self.write(tab_id, encode_paste(text, bracketed=True))

    async def press(self, tab_id: str, key: Key) -> None:
        await self.write(tab_id, encode_key(key, application_cursor=False))

    async def screen(self, tab_id: str) -> Screen:
        program, now = self._tab(tab_id).program, time.monotonic()
        at_prompt = not program.is_busy(now)
        typed = program.composer.decode("utf-8", "replace") if at_prompt else ""
        line = program.due(now)[-1].line
        text = f"> {typed}" if at_prompt else ""
        return Screen(
            epoch=EPOCH,
            base=line,
            rows=(
                Line(EPOCH, line, text.rstrip(), text),
                *(Line(EPOCH, line + n, "", "") for n in range(1, SIZE.rows)),
            ),
            cursor_row=0,
            cursor_col=min(PROMPT_COLUMN + len(typed), SIZE.cols - 1) if at_prompt else 0,
            cursor_visible=True,
            alternate=False,
            title="",
            bracketed_paste=True,
            application_cursor=False,
            size=SIZE,
        )

    async def lines(self, tab_id: str, first: int, last: int, *, epoch: int | None = None) -> Sequence[Line]:
        self._tab(tab_id)
        return [Line(EPOCH, number, f"line {number}", f"line {number}") for number in range(first, last)]

    async def marks(self, tab_id: str) -> Sequence[MarkSeen]:
        program = self._tab(tab_id).program
        return [_seen(tab_id, mark) for mark in program.due(time.monotonic(), program.last_ordinal - MARKS_KEPT)]

    async def text_between(self, tab_id: str, start: Position, end: Position, *, max_bytes: int = 200_000) -> Excerpt:
        self._tab(tab_id)
        return Excerpt(f"lines {start.line} to {end.line}")

    async def resize(self, tab_id: str, size: Size) -> None:
        raise TerminalError("The counting terminal has one size.")

    async def close(self, tab_id: str, *, grace: float = 3.0) -> ExitStatus:
        tab = self._tab(tab_id)
        self._note(tab, close=True)
        self._events.tell(Exited(tab_id, HANGUP))
        del self._tabs[tab_id]
        return HANGUP

    def events(self) -> AsyncIterator[TerminalEvent]:
        return self._events.events()

    def _tab(self, tab_id: str) -> Tab:
        tab = self._tabs.get(tab_id)
        if tab is None:
            raise TabNotFound("The tab is gone.")
        return tab

    def _note(self, tab: Tab, **what: Any) -> None:
        """On the file before anything comes of it: one line, one write."""
        entry = {"at": time.monotonic(), **what}
        descriptor = os.open(tab.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps(entry).encode() + b"\n")
        finally:
            os.close(descriptor)
        _apply(tab, entry)
        self._changed.set()

    async def _tell_due(self) -> None:
        """Tell each mark when its time has come."""
        while not self._stopping:
            self._changed.clear()
            now = time.monotonic()
            for tab in list(self._tabs.values()):
                self._tell_marks(tab, now)
            try:
                async with asyncio.timeout(self._next_due(now)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _tell_marks(self, tab: Tab, now: float) -> None:
        news = tab.program.due(now, tab.told)
        for mark in news:
            self._events.tell(_seen(tab.info.tab_id, mark))
        if news:
            tab.told = news[-1].ordinal
            tab.program.forget(tab.told - MARKS_KEPT)
            self._events.tell(Changed(tab.info.tab_id))

    def _next_due(self, now: float) -> float | None:
        times = [at for tab in self._tabs.values() if (at := tab.program.next_due(tab.told)) is not None]
        return max(min(times) - now, 0.0) if times else None


def read_tab(path: Path) -> Tab:
    """A tab as its file tells it."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    tab = Tab(TabInfo(path.stem, entries[0]["open"], os.getpid(), SIZE), path)
    for entry in entries:
        _apply(tab, entry)
    return tab


def _apply(tab: Tab, entry: dict[str, Any]) -> None:
    if "open" in entry:
        tab.program.begin(entry["at"])
    elif "close" in entry:
        tab.exit = HANGUP
    else:
        tab.program.read(entry["at"], bytes.fromhex(entry["hex"]))


def _seen(tab_id: str, mark: Emitted) -> MarkSeen:
    return MarkSeen(tab_id, mark.kind, mark.parameters, Position(EPOCH, mark.line, mark.column), mark.ordinal)
