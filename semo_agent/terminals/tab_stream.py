"""The output of one tab of the holder: through the emulator into the transcript, in one task."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from semo_agent.emulator import Emulator, Fed
from semo_agent.errors import TerminalError
from semo_agent.holder.client import HolderClient
from semo_agent.terminals.base import Changed, Exited, ExitStatus, MarkSeen, Size, TabInfo, TitleChanged
from semo_agent.terminals.event_stream import EventStream
from semo_agent.transcript import Saved, Transcript

SLICE = 16 * 1024
"""Bytes processed between two turns of the event loop."""
SAVE_SECONDS = 0.25
SAVE_BYTES = 512 * 1024
SAVE_LINES = 4000
"""Output is saved when it is so old or so much; only then the holder may forget it."""


@dataclass(frozen=True, slots=True)
class _Output:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Resize:
    """To be done when the output before it has been processed."""

    offset: int
    size: Size
    done: asyncio.Event


@dataclass(slots=True)
class _Inbox:
    """What the holder pushed. Its window bounds how much output that can be."""

    output: deque[_Output] = field(default_factory=deque)
    resizes: deque[_Resize] = field(default_factory=deque)
    exit: ExitStatus | None = None
    filled: asyncio.Event = field(default_factory=asyncio.Event)


class TabStream:
    """One tab while the agent is connected. `emulator` is as of the last byte processed.

    answered: offset up to which the emulator's replies were given to the program; None: another answers it.
    """

    def __init__(
        self,
        info: TabInfo,
        transcript: Transcript,
        client: HolderClient,
        events: EventStream,
        *,
        answered: int | None,
        clock: Callable[[], float],
    ) -> None:
        self.info = info
        self.transcript = transcript
        self.exited = asyncio.Event()
        self.resized = asyncio.Event()
        """The size has changed, or changes no more by itself; whoever waits for it clears it."""
        self.exit: ExitStatus | None = None
        self.emulator, self.offset = _resume(info, transcript)
        self.client = client
        self._events = events
        self._answered = answered
        self._clock = clock
        self._inbox = _Inbox()
        self._stopping = False
        self._saved_offset = self.offset
        self._changed_at: float | None = None

    @property
    def described(self) -> TabInfo:
        """The tab as it is now."""
        return replace(self.info, size=self.emulator.size, exit=self.exit)

    def receive(self, offset: int, data: bytes) -> None:
        """Take output that the holder pushed."""
        self._inbox.output.append(_Output(offset, data))
        self._inbox.filled.set()

    def end(self, exit: ExitStatus) -> None:  # noqa: A002 - the field's own term
        """Take the news that the program ended; what was received before is processed first."""
        self._inbox.exit = self._inbox.exit or exit
        self._inbox.filled.set()

    def stop(self) -> None:
        """Make `run` save what it has processed, and end."""
        self._stopping = True
        self._inbox.filled.set()

    async def resize(self, offset: int, size: Size) -> None:
        """Resize the emulator once output up to `offset` has been processed."""
        if self.exited.is_set():
            self._note(self.emulator.resize(size))
            return
        await self.expect_resize(offset, size).wait()

    def expect_resize(self, offset: int, size: Size) -> asyncio.Event:
        """Take the news of another size since `offset`; what it returns is set when the emulator has it."""
        order = _Resize(offset, size, asyncio.Event())
        self._inbox.resizes.append(order)
        self._inbox.filled.set()
        return order.done

    async def run(self) -> None:
        """Process until the program has ended or `stop` is called."""
        while not self._stopping and not self.exited.is_set():
            await self._wait()
            await self._process_inbox()
            if self._must_save():
                await self._save()
        await self._save()

    async def _wait(self) -> None:
        """Wait for something to do, at most until what was processed must be saved."""
        if self._inbox.output or self._inbox.exit is not None or self._resize_is_due():
            return
        self._inbox.filled.clear()
        if self._stopping:
            return
        left = None
        if self._changed_at is not None:
            left = max(0.0, self._changed_at + SAVE_SECONDS - self._clock())
        try:
            async with asyncio.timeout(left):
                await self._inbox.filled.wait()
        except TimeoutError:
            return

    async def _process_inbox(self) -> None:
        self._resize_when_due()
        if self._inbox.output:
            await self._process(self._inbox.output.popleft())
            self._resize_when_due()
        elif self._inbox.exit is not None:
            await self._finish(self._inbox.exit)

    async def _process(self, output: _Output) -> None:
        """Feed one piece of output to the emulator, in slices, so that other tabs get their turn."""
        if output.offset > self.offset:
            self._note(self.emulator.lose(output.offset - self.offset))
            self.offset = output.offset
        data = output.data[self.offset - output.offset :]
        while data and not self._stopping:
            length = self._slice_length(len(data))
            fed = self.emulator.feed(data[:length])
            data = data[length:]
            self.offset += length
            self._reply(fed.replies)
            self._note(fed)
            await self._events.room()
            await asyncio.sleep(0)
            if data and self._must_save():
                await self._save()

    def _slice_length(self, available: int) -> int:
        length = min(SLICE, available)
        if self._answered is not None and self.offset < self._answered:
            # Replies up to here were given by the agent before this one: cut exactly there.
            length = min(length, self._answered - self.offset)
        return length

    def _reply(self, replies: bytes) -> None:
        if replies and self._answered is not None and self.offset > self._answered:
            self.client.notify("write", replies, tab=self.info.tab_id, answers=self.offset)

    def _note(self, fed: Fed) -> None:
        self.transcript.append(fed.lines)
        tab_id = self.info.tab_id
        for mark in fed.marks:
            self._events.tell(MarkSeen(tab_id, mark.kind, mark.parameters, mark.at, mark.ordinal))
        if fed.title is not None:
            self._events.tell(TitleChanged(tab_id, fed.title))
        self._events.tell(Changed(tab_id))
        if self._changed_at is None:
            self._changed_at = self._clock()

    def _resize_when_due(self) -> None:
        while self._resize_is_due():
            order = self._inbox.resizes.popleft()
            self._note(self.emulator.resize(order.size))
            order.done.set()
            self.resized.set()

    def _resize_is_due(self) -> bool:
        """Whether the output before the next resize was processed, or no more will come."""
        if not self._inbox.resizes:
            return False
        at_the_end = self._inbox.exit is not None and not self._inbox.output
        return at_the_end or self._inbox.resizes[0].offset <= self.offset

    async def _finish(self, exit: ExitStatus) -> None:  # noqa: A002 - the field's own term
        await self._save()
        # One that was asked for while that took: nobody looks at the inbox any more.
        self._resize_when_due()
        self.exit = exit
        self.exited.set()
        self.resized.set()
        self._events.tell(Exited(self.info.tab_id, exit))

    def _must_save(self) -> bool:
        return self._changed_at is not None and (
            self._clock() - self._changed_at >= SAVE_SECONDS
            or self.offset - self._saved_offset >= SAVE_BYTES
            or self.transcript.unwritten >= SAVE_LINES
        )

    async def _save(self) -> None:
        """Put lines and emulator on disk, then let the holder forget what led to them."""
        if self._changed_at is None:
            return
        self._changed_at = None
        offset = self.offset
        batch = self.transcript.checkpoint(Saved(self.info.tab_id, offset, self.emulator.snapshot()))
        self.transcript.settle(batch, await asyncio.to_thread(self.transcript.write, batch))
        self._saved_offset = offset
        self.client.notify("ack", tab=self.info.tab_id, offset=offset)


def _resume(info: TabInfo, transcript: Transcript) -> tuple[Emulator, int]:
    """The emulator as it was saved for this tab and the offset it had reached; else a new one."""
    saved = transcript.saved
    if saved is not None and saved.tab_id == info.tab_id:
        try:
            return Emulator.restore(saved.snapshot), saved.offset
        except TerminalError:
            # Saved by another version: the log stays, the screen is made again from later output. There were no more
            # marks than bytes, so their ordinals go on above all that were given.
            emulator = Emulator(info.size, epoch=transcript.next_epoch, marks_seen=saved.offset)
            return emulator, saved.offset
    return Emulator(info.size, epoch=transcript.next_epoch), 0
