"""What terminals have in common whose output the holder keeps: it is read through the emulator into the transcript."""

import asyncio
import time
from abc import abstractmethod
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

HOLDER_DIED = ExitStatus(reason="holder died")

WRITE_SECONDS = 15.0
_SLOWEST_READER = 32 * 1024
"""Bytes a second that a program must read for a long write to be done in time."""
_CATCH_UP_SECONDS = 30.0
"""For output that is already in the holder."""


class HeldTerminal(Terminal):
    """Tabs whose output the holder in `folder` keeps; it is started if it does not run. Transcripts are kept there too.

    A tab whose backend died stays, dead, until it is closed.
    """

    kind: str
    """Of its tabs in the holder, which may have others'."""
    answers: bool
    """Whether the emulator's replies are for the program: nobody else answers it."""
    sizes: bool = True
    """Whether only we size the tabs; else the holder tells what size they were given, and where in the output."""

    def __init__(
        self,
        folder: Path,
        *,
        write_timeout: float = WRITE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._write_timeout = write_timeout
        self._clock = clock
        self._client: HolderClient | None = None
        self._streams: dict[str, TabStream] = {}
        self._dead: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = EventStream()
        self._reviving = asyncio.Lock()
        self._stopping = False

    # What the terminals do differently

    @abstractmethod
    async def _launch(self, client: HolderClient, spec: LaunchSpec, size: Size) -> Header:
        """Start the program; the tab as the holder describes it. Raises `LaunchFailed`."""

    @abstractmethod
    async def _hand_over(self, tab_id: str, data: bytes, deadline: float) -> None:
        """Give all bytes to the program within so many seconds; what it has not taken then, it never gets."""

    @abstractmethod
    async def _resize(self, client: HolderClient, tab_id: str, size: Size) -> None:
        """Change the size that the program sees."""

    @abstractmethod
    async def _connect_backend(self) -> None:
        """Connect to what runs the programs, beyond the holder; start it if it does not run."""

    @abstractmethod
    async def _disconnect_backend(self) -> None: ...

    @abstractmethod
    async def _let_go(self, tab_ids: Sequence[str]) -> None:
        """End what is left of tabs that died with the holder."""

    @abstractmethod
    async def _tell_end(self, stream: TabStream, told: ExitStatus | None) -> None:
        """All output of a tab has come; `told` is how its program ended, if the holder knows."""

    # The contract

    async def start(self) -> None:
        await asyncio.gather(self._connect(), asyncio.to_thread(warm_up))
        await self._adopt_all(await self._tabs_of_holder())

    async def stop(self) -> None:
        self._stopping = True
        self._events.let_through()
        for stream in self._streams.values():
            stream.stop()
        readers = {task for task in self._tasks if task.get_name().startswith("tab ")}
        if readers:
            await asyncio.wait(readers, timeout=_CATCH_UP_SECONDS)
        await self._disconnect_backend()
        if self._client is not None:
            await self._client.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CATCH_UP_SECONDS)
        self._events.close()
        for stream in self._streams.values():
            stream.emulator.close()

    async def open(self, spec: LaunchSpec) -> TabInfo:
        size = checked(spec.size)
        client = await self._revived()
        transcript = await self._load_transcript(spec.tag)
        return await self._attach(client, await self._launch(client, spec, size), transcript)

    async def list(self) -> Sequence[TabInfo]:
        dead = [stream.described for tab_id, stream in self._streams.items() if tab_id in self._dead]
        if self._started().closed.is_set():
            return dead
        return [*dead, *(_info(tab) for tab in await self._tabs_of_holder() if tab["tab"] not in self._dead)]

    async def write(self, tab_id: str, data: bytes) -> None:
        self._stream(tab_id)
        if len(data) > LONGEST_BODY:
            raise TerminalError(f"{len(data)} bytes are too many for one write; send at most {LONGEST_BODY}.")
        await self._hand_over(tab_id, data, self._write_timeout + len(data) / _SLOWEST_READER)

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
        client = self._living()
        if not stream.exited.is_set():
            await self._resize(client, tab_id, size)
        reply = await client.request("resize", tab=tab_id, cols=size.cols, rows=size.rows)
        await _within(_CATCH_UP_SECONDS, stream.resize(reply["end"], size), "The tab is too busy to be resized.")

    async def close(self, tab_id: str, *, grace: float = 3.0) -> ExitStatus:
        if tab_id in self._dead:
            return await self._forget_dead(tab_id)
        stream = self._stream(tab_id)
        client = self._living()
        await client.request("end", tab=tab_id, grace=grace, timeout=grace + 10.0)
        await _within(_CATCH_UP_SECONDS, stream.exited.wait(), "The last output of the tab was not read in time.")
        if tab_id in self._dead:
            # What ran it died meanwhile.
            return await self._forget_dead(tab_id)
        await client.request("forget", tab=tab_id)
        return self._forget(tab_id)

    def events(self) -> AsyncIterator[TerminalEvent]:
        return self._events.events()

    # Tabs

    async def _adopt_all(self, tabs: Sequence[Header]) -> None:
        """Begin to read the tabs that live already."""
        for tab in tabs:
            await self._attach(self._living(), tab, await self._load_transcript(tab["tag"]))

    async def _tabs_of_holder(self) -> Sequence[Header]:
        reply = await self._living().request("list")
        # A holder that was started before there were feeds has tabs of one kind only.
        return [tab for tab in reply["tabs"] if tab.get("kind", "pty") == self.kind]

    async def _load_transcript(self, tag: str) -> Transcript:
        transcript = Transcript(self._folder / "transcripts", tag)
        await asyncio.to_thread(transcript.load)
        return transcript

    async def _attach(self, client: HolderClient, tab: Header, transcript: Transcript) -> TabInfo:
        """Begin to read a tab where the transcript ends."""
        info = _info(tab)
        answered = tab["answered"] if self.answers else None
        stream = TabStream(info, transcript, client, self._events, answered=answered, clock=self._clock)
        # Before the request: output follows its reply at once.
        self._streams[info.tab_id] = stream
        await client.request("attach", tab=info.tab_id, offset=stream.offset)
        self._spawn(f"tab {info.tab_id}", stream.run())
        if self.sizes and stream.emulator.size != info.size:
            await stream.resize(stream.offset, info.size)
        return info

    def _receive(self, header: Header, body: bytes) -> None:
        stream = self._streams.get(header["tab"])
        if stream is None:
            return
        if header["push"] == "output":
            stream.receive(header["offset"], body)
        elif header["push"] == "resized":
            stream.expect_resize(header["offset"], Size(header["cols"], header["rows"]))
        elif header["push"] == "exited":
            told = ExitStatus(**header["exit"]) if header["exit"] is not None else None
            self._spawn(f"end of {header['tab']}", self._tell_end(stream, told))

    def _bury(self, stream: TabStream, status: ExitStatus) -> None:
        """Note that what ran a tab, or kept its output, has died."""
        if not stream.exited.is_set():
            self._dead.add(stream.info.tab_id)
            stream.end(status)

    def _forget(self, tab_id: str) -> ExitStatus:
        self._dead.discard(tab_id)
        stream = self._streams.pop(tab_id)
        stream.emulator.close()
        return stream.exit or HOLDER_DIED

    async def _forget_dead(self, tab_id: str) -> ExitStatus:
        await _within(_CATCH_UP_SECONDS, self._streams[tab_id].exited.wait(), "The tab's last output was not read.")
        return self._forget(tab_id)

    # The holder

    async def _connect(self) -> None:
        client = await connect_or_launch(self._folder, self._receive)
        self._client = client
        self._spawn("holder connection", self._stay_connected(client))
        await self._connect_backend()

    async def _revived(self) -> HolderClient:
        """The living holder; a new one where it died. What died with it stays dead."""
        self._started()
        async with self._reviving:
            if self._started().closed.is_set():
                await self._connect()
            else:
                await self._connect_backend()
        return self._living()

    async def _stay_connected(self, client: HolderClient) -> None:
        await client.run()
        if self._stopping:
            return
        lost = [stream for stream in self._streams.values() if stream.client is client]
        for stream in lost:
            self._bury(stream, HOLDER_DIED)
            # Also one whose program had ended: its output can't be acknowledged or forgotten any more.
            self._dead.add(stream.info.tab_id)
        await self._let_go([stream.info.tab_id for stream in lost])

    def _spawn(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            # The reader of the events learns that nothing is read any more.
            self._events.close(failure)

    def _started(self) -> HolderClient:
        if self._client is None:
            raise TerminalError("The terminal was not started.")
        return self._client

    def _living(self) -> HolderClient:
        client = self._started()
        if client.closed.is_set():
            raise TerminalDied("The holder of the terminals is gone.")
        return client

    def _stream(self, tab_id: str) -> TabStream:
        self._started()
        stream = self._streams.get(tab_id)
        if stream is None:
            raise TabNotFound("The tab is gone.")
        if tab_id in self._dead or stream.client.closed.is_set():
            raise TerminalDied("The tab died with the terminal that it was in.")
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
