"""The PTY terminal: programs live in the holder, output is read through the emulator into the transcript."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path

from semo_agent.emulator import checked, warm_up
from semo_agent.errors import TabNotFound, TerminalDied, TerminalError, TerminalTimeout
from semo_agent.holder.client import HolderClient
from semo_agent.holder.launch import connect_or_launch
from semo_agent.holder.protocol import LONGEST_BODY, Header
from semo_agent.keys import encode_key
from semo_agent.paste import encode_paste
from semo_agent.terminals.base import (
    Excerpt,
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
from semo_agent.terminals.tab_stream import TabStream
from semo_agent.transcript import Transcript
from semo_agent.transcript.excerpt import text_between

_LAUNCH_SECONDS = 15.0
_WRITE_SECONDS = 15.0
_SLOWEST_READER = 32 * 1024
"""Bytes a second that a program must read for a long write to be done in time."""
_CATCH_UP_SECONDS = 30.0
"""For output that is already in the holder."""


class PtyTerminal(Terminal):
    """Tabs of the holder in `folder`, which is started if it does not run; transcripts are kept there too."""

    name = "pty"

    def __init__(
        self,
        folder: Path,
        *,
        write_timeout: float = _WRITE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._write_timeout = write_timeout
        self._clock = clock
        self._client: HolderClient | None = None
        self._streams: dict[str, TabStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = EventStream()
        self._stopping = False

    async def start(self) -> None:
        connecting = connect_or_launch(self._folder, self._receive)
        client, _ = await asyncio.gather(connecting, asyncio.to_thread(warm_up))
        self._client = client
        self._spawn("holder connection", self._stay_connected(client))
        for tab in (await client.request("list"))["tabs"]:
            await self._adopt(tab)

    async def stop(self) -> None:
        self._stopping = True
        self._events.let_through()
        for stream in self._streams.values():
            stream.stop()
        readers = {task for task in self._tasks if task.get_name().startswith("tab ")}
        if readers:
            await asyncio.wait(readers, timeout=_CATCH_UP_SECONDS)
        if self._client is not None:
            await self._client.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CATCH_UP_SECONDS)
        self._events.close()
        for stream in self._streams.values():
            stream.emulator.close()

    async def open(self, spec: LaunchSpec) -> TabInfo:
        size = checked(spec.size)
        client = self._living()
        transcript = await self._load_transcript(spec.tag)
        tab = await client.request(
            "open",
            timeout=_LAUNCH_SECONDS,
            tag=spec.tag,
            argv=list(spec.argv),
            cwd=spec.cwd,
            env=dict(spec.env),
            cols=size.cols,
            rows=size.rows,
        )
        return await self._attach(client, tab, transcript)

    async def list(self) -> Sequence[TabInfo]:
        reply = await self._living().request("list")
        return [_info(tab) for tab in reply["tabs"]]

    async def write(self, tab_id: str, data: bytes) -> None:
        self._stream(tab_id)
        if len(data) > LONGEST_BODY:
            raise TerminalError(f"{len(data)} bytes are too many for one write; send at most {LONGEST_BODY}.")
        timeout = self._write_timeout + len(data) / _SLOWEST_READER
        await self._living().write(tab_id, data, timeout=timeout)

    async def paste(self, tab_id: str, text: str) -> None:
        bracketed = self._stream(tab_id).emulator.bracketed_paste
        await self.write(tab_id, encode_paste(text, bracketed))

    async def press(self, tab_id: str, key: Key) -> None:
        application_cursor = self._stream(tab_id).emulator.application_cursor
        await self.write(tab_id, encode_key(key, application_cursor=application_cursor))

    async def screen(self, tab_id: str) -> Screen:
        return self._stream(tab_id).emulator.screen()

    async def lines(self, tab_id: str, first: int, last: int, *, epoch: int | None = None) -> Sequence[Line]:
        stream = self._stream(tab_id)
        log = stream.transcript.view()
        wanted = stream.emulator.epoch if epoch is None else epoch
        begin, end = log.ordinal_at(wanted, first), log.ordinal_at(wanted, last)
        return await asyncio.to_thread(log.lines, begin, end)

    async def marks(self, tab_id: str) -> Sequence[MarkSeen]:
        recent = self._stream(tab_id).emulator.marks
        return [MarkSeen(tab_id, mark.kind, mark.parameters, mark.at, mark.ordinal) for mark in recent]

    async def text_between(self, tab_id: str, start: Position, end: Position, *, max_bytes: int = 200_000) -> Excerpt:
        stream = self._stream(tab_id)
        log, screen = stream.transcript.view(), stream.emulator.screen()
        start, end = stream.emulator.where(start), stream.emulator.where(end)
        return await asyncio.to_thread(text_between, log, screen, start, end, max_bytes)

    async def resize(self, tab_id: str, size: Size) -> None:
        stream = self._stream(tab_id)
        size = checked(size)
        reply = await self._living().request("resize", tab=tab_id, cols=size.cols, rows=size.rows)
        await _within(_CATCH_UP_SECONDS, stream.resize(reply["end"], size), "The tab is too busy to be resized.")

    async def close(self, tab_id: str, *, grace: float = 3.0) -> ExitStatus:
        stream = self._stream(tab_id)
        client = self._living()
        await client.request("end", tab=tab_id, grace=grace, timeout=grace + 10.0)
        await _within(_CATCH_UP_SECONDS, stream.exited.wait(), "The last output of the tab was not read in time.")
        await client.request("forget", tab=tab_id)
        self._streams.pop(tab_id, None)
        stream.emulator.close()
        return stream.exit or ExitStatus(reason="holder died")

    def events(self) -> AsyncIterator[TerminalEvent]:
        return self._events.events()

    async def _adopt(self, tab: Header) -> None:
        transcript = await self._load_transcript(tab["tag"])
        await self._attach(self._living(), tab, transcript)

    async def _load_transcript(self, tag: str) -> Transcript:
        transcript = Transcript(self._folder / "transcripts", tag)
        await asyncio.to_thread(transcript.load)
        return transcript

    async def _attach(self, client: HolderClient, tab: Header, transcript: Transcript) -> TabInfo:
        """Begin to read a tab where the transcript ends."""
        info = _info(tab)
        stream = TabStream(info, transcript, client, self._events, answered=tab["answered"], clock=self._clock)
        # Before the request: output follows its reply at once.
        self._streams[info.tab_id] = stream
        await client.request("attach", tab=info.tab_id, offset=stream.offset)
        self._spawn(f"tab {info.tab_id}", stream.run())
        if stream.emulator.size != info.size:
            await stream.resize(stream.offset, info.size)
        return info

    def _receive(self, header: Header, body: bytes) -> None:
        stream = self._streams.get(header["tab"])
        if stream is None:
            return
        if header["push"] == "output":
            stream.receive(header["offset"], body)
        elif header["push"] == "exited":
            stream.end(ExitStatus(**header["exit"]))

    async def _stay_connected(self, client: HolderClient) -> None:
        await client.run()
        if not self._stopping:
            for stream in self._streams.values():
                stream.end(ExitStatus(reason="holder died"))

    def _spawn(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            # The reader of the events learns that nothing is read any more.
            self._events.close(failure)

    def _living(self) -> HolderClient:
        if self._client is None:
            raise TerminalError("The terminal was not started.")
        if self._client.closed.is_set():
            raise TerminalDied("The holder of the terminals is gone.")
        return self._client

    def _stream(self, tab_id: str) -> TabStream:
        self._living()
        stream = self._streams.get(tab_id)
        if stream is None:
            raise TabNotFound("The tab is gone.")
        return stream


def _info(tab: Header) -> TabInfo:
    status = ExitStatus(**tab["exit"]) if tab["exit"] is not None else None
    return TabInfo(tab["tab"], tab["tag"], tab["pid"], Size(tab["cols"], tab["rows"]), status)


async def _within(seconds: float, work: Coroutine[None, None, object], complaint: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError as err:
        raise TerminalTimeout(complaint) from err
