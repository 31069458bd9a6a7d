"""Signals as the supervisor hears them: SIGTERM stops it, SIGHUP hurries it, SIGCHLD wakes it."""

import os
import select
import signal
from types import FrameType


class SignalNews:
    """Every signal writes a byte to a pipe of ours, so that none falls between a look and the wait for the next."""

    def __init__(self) -> None:
        self.stop = False
        self.hurry = False
        self._reading, writing = os.pipe()
        for descriptor in (self._reading, writing):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._hear)

    def wait(self, seconds: float | None) -> None:
        """Until a signal comes, at most so long; None: for ever."""
        if select.select([self._reading], [], [], seconds)[0]:
            os.read(self._reading, 4096)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.stop = True
        elif number == signal.SIGHUP:
            self.hurry = True
