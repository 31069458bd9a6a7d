"""Garbage is not looked for while the libraries load: they make nothing but what stays, and a tenth of the time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_later() -> Iterator[None]:
    """Collect none inside, until `collect_from_now_on`."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect_from_now_on() -> None:
    """Everything is loaded; what there is now is never looked at again."""
    gc.freeze()
    gc.enable()
