"""Pictures are the same on every machine: one clock, one time zone, no blinking, no settings of a person."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("NO_COLOR", "TEXTUAL", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
