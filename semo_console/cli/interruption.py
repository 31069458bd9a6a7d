"""Ctrl-C and SIGTERM, which end a verb in the same orderly way."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from semo_console.cli.exits import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_terminated: list[int] = []


def stop_on_sigterm() -> None:
    """From now on SIGTERM is what Ctrl-C is. The verbs that run a service leave it to their own loop."""
    signal.signal(signal.SIGTERM, _interrupt)


def exit_code_of_interruption() -> ExitCode:
    return ExitCode.TERMINATED if _terminated else ExitCode.INTERRUPTED


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Keep both back until the end of the block: what is begun in it must be known before it can be undone."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda sent, _: came.append(sent)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for sent in came:
            signal.raise_signal(sent)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _terminated.append(number)
    # asyncio puts its own handler here while it runs, which ends what is under way.
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):
        raise KeyboardInterrupt
    interrupt(signal.SIGINT, frame)
