"""Pictures are the same on every machine: one clock, one time zone, no blinking, no settings of a person."""

import time
from collections.abc import Iterator

import pytest
from textual.app import App

from tests.snapshot.picture import picture_of


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("NO_COLOR", "TEXTUAL", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(App, "export_screenshot", picture_of)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
