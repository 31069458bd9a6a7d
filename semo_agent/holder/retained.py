"""Output of one tab that no client has acknowledged yet."""


class RetainedOutput:
    """Bytes `start` to `end` of everything that the program wrote; offsets never go back."""

    def __init__(self) -> None:
        self.start = 0
        self._kept = bytearray()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def end(self) -> int:
        return self.start + len(self._kept)

    def append(self, data: bytes) -> None:
        self._kept += data

    def drop_first(self, count: int) -> None:
        """Take bytes from the front that are no output; offsets do not count them."""
        del self._kept[:count]

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """At most `limit` bytes from `offset` or, when those are gone, from `start`; and where they begin."""
        offset = max(offset, self.start)
        at = offset - self.start
        return offset, bytes(self._kept[at : at + limit])

    def forget_before(self, offset: int) -> None:
        """Drop what was acknowledged."""
        count = min(max(offset - self.start, 0), len(self._kept))
        del self._kept[:count]
        self.start += count

    def shrink_to(self, limit: int) -> None:
        """Drop the oldest bytes above `limit`; a reader sees the jump of the offset."""
        self.forget_before(self.end - limit)
