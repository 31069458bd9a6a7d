"""The line log of a session: kept on disk, bounded, and exact over a restart or a crash of the agent."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from semo_agent.terminals.base import Line
from semo_agent.transcript.view import EpochStart, LogView, Segment, decode, encode

SEGMENT_LINES = 2000
MOST_LINES = 200_000
MOST_BYTES = 64 * 1024 * 1024
MOST_EPOCHS = 2000
"""Lines of older epochs are still in their files, but no longer found."""

_VERSION = 1
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Saved:
    """What the agent had processed: output of a tab up to `offset`, and the emulator after it."""

    tab_id: str
    offset: int
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to be written, and the state that holds once they are."""

    lines: tuple[Line, ...]
    saved: Saved
    first: int
    """Ordinal of the first line."""
    segment: Segment
    """The file to append to, as it is before."""
    seals: bool
    dropped: tuple[Segment, ...]
    epochs: tuple[EpochStart, ...]


class Transcript:
    """The log of one session.

    `append`, `checkpoint` and `settle` belong to the event loop and do not block; `load` and `write` do, and
    belong to a thread. Lines are on disk before the state that counts them: after a crash between the two,
    loading cuts them off and they are made again from output that was not acknowledged.
    """

    def __init__(
        self,
        folder: Path,
        tag: str,
        *,
        segment_lines: int = SEGMENT_LINES,
        most_lines: int = MOST_LINES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.folder = folder / folder_name(tag)
        self.saved: Saved | None = None
        self._segment_lines = segment_lines
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._epochs: list[EpochStart] = []
        self._segments: list[Segment] = []
        self._open = self._empty_segment(0)
        self._tail: list[Line] = []
        self._written = 0  # lines of the tail that are on disk

    def load(self) -> None:
        """Take up what is on disk; starts afresh when there is nothing, or it is damaged."""
        # One after the other: the mode is not for parents that are made on the way.
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        try:
            self._load_state()
        except (OSError, ValueError, KeyError, TypeError):
            self._start_afresh()

    def append(self, lines: Sequence[Line]) -> None:
        """Add lines, in memory for now."""
        for line in lines:
            if not self._epochs or self._epochs[-1].epoch != line.epoch:
                self._epochs.append(EpochStart(line.epoch, self._open.first + len(self._tail), line.number))
            self._tail.append(line)

    @property
    def next_epoch(self) -> int:
        """An epoch that no line has yet."""
        return self._epochs[-1].epoch + 1 if self._epochs else 0

    @property
    def unwritten(self) -> int:
        """Lines that are only in memory."""
        return len(self._tail) - self._written

    def view(self) -> LogView:
        """The log as it is now."""
        return LogView(tuple(self._epochs), tuple(self._segments), self._open.first, tuple(self._tail))

    def checkpoint(self, saved: Saved) -> Batch:
        """What to write to make `saved` true on disk. One batch at a time: `write` it, then `settle` it."""
        dropped = self._superfluous()
        kept = [*self._segments, self._open][len(dropped) :]
        return Batch(
            lines=tuple(self._tail[self._written :]),
            saved=saved,
            first=self._open.first + self._written,
            segment=self._open,
            seals=len(self._tail) >= self._segment_lines,
            dropped=dropped,
            epochs=_epochs_from(self._epochs, kept[0].first),
        )

    def write(self, batch: Batch) -> Segment:
        """Put a batch on disk; returns the file as it is then."""
        size = _append(batch.segment.path, encode(batch.lines)) if batch.lines else batch.segment.size
        count = batch.segment.count + len(batch.lines)
        segment = Segment(batch.segment.first, count, size, batch.segment.path)
        self._write_state(batch, self._empty_segment(segment.first + count) if batch.seals else segment)
        for old in batch.dropped:
            old.path.unlink(missing_ok=True)
        return segment

    def settle(self, batch: Batch, segment: Segment) -> None:
        """Note that a batch is on disk, and forget what need not stay in memory."""
        self.saved = batch.saved
        del self._segments[: len(batch.dropped)]
        self._epochs = [
            *batch.epochs,
            *(e for e in self._epochs if e.ordinal >= batch.first + len(batch.lines)),
        ]
        if batch.seals:
            self._segments.append(segment)
            self._tail = self._tail[segment.count :]
            self._written = 0
            self._open = self._empty_segment(segment.first + segment.count)
        else:
            self._written = segment.count
            self._open = segment

    def _superfluous(self) -> tuple[Segment, ...]:
        """The oldest segments, as many as the bounds ask for."""
        lines = sum(segment.count for segment in self._segments) + len(self._tail)
        size = sum(segment.size for segment in self._segments) + self._open.size
        dropped = []
        for segment in self._segments:
            if lines <= self._most_lines and size <= self._most_bytes:
                break
            dropped.append(segment)
            lines -= segment.count
            size -= segment.size
        return tuple(dropped)

    def _empty_segment(self, first: int) -> Segment:
        return Segment(first, 0, 0, self.folder / f"{first:012}.jsonl")

    def _write_state(self, batch: Batch, open_segment: Segment) -> None:
        header = {
            "version": _VERSION,
            "tab": batch.saved.tab_id,
            "offset": batch.saved.offset,
            "open": [open_segment.first, open_segment.count, open_segment.size],
            "first": min((s.first for s in self._segments[len(batch.dropped) :]), default=batch.segment.first),
            "epochs": [[e.epoch, e.ordinal, e.number] for e in batch.epochs],
        }
        draft = self.folder / "state.draft"
        draft.unlink(missing_ok=True)
        _append(draft, json.dumps(header).encode() + b"\n" + batch.saved.snapshot)
        draft.replace(self.folder / "state")

    def _load_state(self) -> None:
        head, _, snapshot = (self.folder / "state").read_bytes().partition(b"\n")
        header: dict[str, Any] = json.loads(head)
        if header["version"] != _VERSION:
            raise ValueError("unknown version")
        first, count, size = header["open"]
        self._load_segments(header["first"], first)
        path = self._empty_segment(first).path
        self._open = Segment(first, count, size, path)
        self._cut_open_segment()
        self._epochs = [EpochStart(*entry) for entry in header["epochs"]]
        self.saved = Saved(header["tab"], header["offset"], snapshot)

    def _load_segments(self, first: int, open_first: int) -> None:
        """Find the complete segments; remove files older or newer than what the state counts."""
        firsts = sorted(int(path.stem) for path in self.folder.glob("*.jsonl"))
        for stale in (f for f in firsts if f < first or f > open_first):
            self._empty_segment(stale).path.unlink()
        known = [f for f in firsts if first <= f < open_first]
        for begin, end in pairwise([*known, open_first]):
            path = self._empty_segment(begin).path
            self._segments.append(Segment(begin, end - begin, path.stat().st_size, path))

    def _cut_open_segment(self) -> None:
        """Cut off lines that the state does not count, and keep the others in memory."""
        segment = self._open
        if segment.count == 0:
            segment.path.unlink(missing_ok=True)
            return
        os.truncate(segment.path, segment.size)
        self._tail = decode(segment.path.read_bytes())
        if len(self._tail) != segment.count:
            raise ValueError("lines are missing")
        self._written = segment.count

    def _start_afresh(self) -> None:
        for path in self.folder.glob("*.jsonl"):
            path.unlink()
        (self.folder / "state").unlink(missing_ok=True)
        self._epochs, self._segments, self._tail, self._written = [], [], [], 0
        self._open = self._empty_segment(0)
        self.saved = None


def folder_name(tag: str) -> str:
    """A tag as a file name; it can't lead out of its folder."""
    return tag if _PLAIN_NAME.match(tag) else hashlib.sha256(tag.encode("utf-8", "replace")).hexdigest()


def _epochs_from(epochs: Sequence[EpochStart], ordinal: int) -> tuple[EpochStart, ...]:
    """The epochs that have lines from an ordinal on."""
    first = max((at for at, start in enumerate(epochs) if start.ordinal <= ordinal), default=0)
    return tuple(epochs[first:][-MOST_EPOCHS:])


def _append(path: Path, data: bytes) -> int:
    """Append to a file that only we can read; returns its size."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        file.write(data)
        return file.tell()
