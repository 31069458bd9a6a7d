"""A pipe by which a service learns that its supervisor is gone, however that ended.

Only the supervisor has the end to write to, and nobody ever writes: the end of the file is the news.
"""

import os
import signal
import threading

from semo_console.errors import UnreadableInput

OPTION = "--lifeline"


def open_lifeline() -> int:
    """The end to read from, for services to inherit; the other one closes with this process."""
    reading, _writing = os.pipe()
    return reading


def hold_lifeline(descriptor: int | None) -> None:
    """Stop this process as on SIGTERM when the supervisor that gave us this file ends. None: there is none."""
    if descriptor is None:
        return
    try:
        # Ours alone: no program that we start may keep it.
        os.set_inheritable(descriptor, False)
    except OSError as err:
        raise UnreadableInput(f"{OPTION} is for the supervisor: there is no file {descriptor}.") from err
    # A thread, since it must hear even while libraries load and before there is an event loop.
    threading.Thread(target=_await_end, args=(descriptor,), name="lifeline", daemon=True).start()


def _await_end(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
