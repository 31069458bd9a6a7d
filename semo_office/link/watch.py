"""Following the rows of a table: no change is missed for good, some may be told twice."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from semo_office.errors import LinkError
from semo_office.link.filters import Filter, among, gt, gte
from semo_office.link.hints import OfficeHints
from semo_office.link.requests import PAGE_ROWS, Row
from semo_office.link.socket import Hint
from semo_office.link.timing import Timing

POLL_LIVE_S: Final = 15.0
POLL_ALONE_S: Final = 2.0
# Where one hint came another may have been lost: the next scan comes soon after the first hint since the last one.
POLL_TRAILING_S: Final = 3.0
# What failed has tried for a while already.
PAUSE_FAILED_S: Final = 0.5
# `updated_at` is taken before the commit. A transaction that commits later than this after it would be missed by a
# scan; the API roles' statement timeout is shorter.
OVERLAP: Final = timedelta(seconds=10)
KEYS_AT_ONCE: Final = 100
KEYS_PENDING_MAX: Final = 1000
SEEN_MAX: Final = 10_000


class Reader(Protocol):
    async def select(
        self,
        table: str,
        *,
        columns: str = "*",
        filters: Sequence[Filter] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Row]:
        """Rows of a table. Raises LinkError."""


class SeenVersions:
    """The newest version told of each key, for the keys used last: bounded, so an old key may be told again."""

    def __init__(self, limit: int = SEEN_MAX) -> None:
        self._limit = limit
        self._versions: OrderedDict[str, int] = OrderedDict()

    def is_new(self, key: str, version: int) -> bool:
        return version > self._versions.get(key, -1)

    def note(self, key: str, version: int) -> None:
        self._versions[key] = version
        self._versions.move_to_end(key)
        if len(self._versions) > self._limit:
            self._versions.popitem(last=False)


@dataclass(frozen=True)
class Demand:
    """Keys of rows to read now; `scanned_to`: the newest change that a whole scan saw, None: no row at all."""

    keys: tuple[str, ...]
    scanned: bool
    scanned_to: datetime | None = None


class Watch:
    """One table under one filter. It needs the columns `version` and `updated_at`.

    A scan looks at everything that changed since the last scan, less an overlap: at the start, after every gap in the
    hints, and at a slow poll. In between a hint makes one row be read. All of it happens in the consumer's own task.
    """

    def __init__(
        self,
        hints: OfficeHints,
        reader: Reader,
        table: str,
        filters: tuple[Filter, ...],
        key: str,
        timing: Timing,
        check: Callable[[], None],
    ) -> None:
        self._hints = hints
        self._reader = reader
        self._table = table
        self._filters = filters
        self._key = key
        self._timing = timing
        self._check = check
        self._seen = SeenVersions()
        self._hinted: dict[str, int] = {}
        self._gap = True
        self._failed_at: float | None = None
        self._scanned_at = 0.0
        self._hinted_at: float | None = None
        self._jitter = 1.0
        self._since: datetime | None = None
        self._bell = asyncio.Event()

    async def rows(self) -> AsyncGenerator[Row]:
        """The rows that match now, then every row that comes to match or changes. Ends when the link closes."""
        self._hints.add(self)
        self._hints.fall_behind(self)
        try:
            while not self._hints.stopped:
                try:
                    demand = await self._demand()
                    for some in _batches(demand.keys):
                        for row in await self._read(some):
                            yield row
                    self._satisfied(demand)
                except LinkError:
                    # Owed: the next round scans, after the poll's pause or when somebody rings.
                    self._failed_at = self._timing.clock()
                await self._pause()
            self._check()
        finally:
            self._hints.remove(self)

    def on_hint(self, hint: Hint) -> None:
        if hint.table != self._table:
            return
        if self._hinted_at is None:
            self._hinted_at = self._timing.clock()
        if len(self._hinted) < KEYS_PENDING_MAX:
            self._hinted[hint.key] = max(hint.version, self._hinted.get(hint.key, 0))
        else:
            self._gap = True
        self._bell.set()

    def on_gap(self) -> None:
        self._gap = True
        self._hints.fall_behind(self)
        self._bell.set()

    def on_change(self) -> None:
        # The length of the poll depends on it.
        self._bell.set()

    async def _demand(self) -> Demand:
        hinted, self._hinted = self._hinted, {}
        if not self._gap and self._failed_at is None:
            return Demand(
                tuple(key for key, version in hinted.items() if self._seen.is_new(key, version)), scanned=False
            )
        # Before the first read: a gap that opens while this scan runs needs one of its own.
        self._gap, self._hinted_at = False, None
        self._scanned_at, self._jitter = self._timing.clock(), 0.8 + 0.4 * self._timing.random()
        return await self._scan()

    async def _scan(self) -> Demand:
        """Go through what changed since the last scan, by version: a row that changes meanwhile moves to the end."""
        keys: list[str] = []
        newest, version = self._since, -1
        while True:
            page = await self._changed_after(version)
            keys += [str(row[self._key]) for row in page if self._is_new(row)]
            newest = max([*([newest] if newest else []), *map(_changed_at, page)], default=None)
            if len(page) < PAGE_ROWS:
                return Demand(tuple(keys), scanned=True, scanned_to=newest)
            version = _version(page[-1])

    async def _changed_after(self, version: int) -> list[Row]:
        since = [gte("updated_at", self._since - OVERLAP)] if self._since else []
        return await self._reader.select(
            self._table,
            columns=f"{self._key},version,updated_at",
            filters=[*self._filters, *since, gt("version", version)],
            order=["version"],
            limit=PAGE_ROWS,
        )

    async def _read(self, keys: Sequence[str]) -> list[Row]:
        rows = await self._reader.select(
            self._table, filters=[*self._filters, among(self._key, keys)], order=["version"]
        )
        news = [row for row in rows if self._is_new(row)]
        for row in news:
            self._seen.note(str(row[self._key]), _version(row))
        return news

    def _satisfied(self, demand: Demand) -> None:
        if demand.scanned:
            # Only now: what a scan found and did not get to read must be found again.
            self._since, self._failed_at = demand.scanned_to, None
            if not self._gap:
                self._hints.caught_up(self)

    def _is_new(self, row: Row) -> bool:
        return self._seen.is_new(str(row[self._key]), _version(row))

    async def _pause(self) -> None:
        """Until a hint, a gap, the next scan, or the end of the link."""
        while not (self._hints.stopped or self._hinted or self._gap):
            left = self._scan_due() - self._timing.clock()
            if left <= 0:
                self._gap = True
            else:
                await self._timing.rings(self._bell, left)
                self._bell.clear()

    def _scan_due(self) -> float:
        """Counted from the last scan, not from the last hint: hints that keep coming do not put it off."""
        if self._failed_at is not None:
            return max(self._scanned_at + POLL_ALONE_S * self._jitter, self._failed_at + PAUSE_FAILED_S * self._jitter)
        due = self._scanned_at + (POLL_LIVE_S if self._hints.proven else POLL_ALONE_S) * self._jitter
        return due if self._hinted_at is None else min(due, self._hinted_at + POLL_TRAILING_S * self._jitter)


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[start : start + KEYS_AT_ONCE]


def _version(row: Row) -> int:
    version = row["version"]
    if not isinstance(version, int):
        raise TypeError(f"version is a number, not {version!r}")
    return version


def _changed_at(row: Row) -> datetime:
    return datetime.fromisoformat(str(row["updated_at"]))
