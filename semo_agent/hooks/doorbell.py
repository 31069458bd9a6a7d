"""The bell that hooks ring. It is only a hint: the spools are read slowly all the time as well."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

READ_BYTES: Final = 65536


@contextmanager
def listening(bell: Path) -> Iterator[asyncio.Event]:
    """An event that is set at each ring."""
    # Opened for writing as well, a pipe without writers is not at its end.
    handle = os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(handle, READ_BYTES)
        rung.set()

    loop.add_reader(handle, hear)
    try:
        yield rung
    finally:
        loop.remove_reader(handle)
        os.close(handle)
