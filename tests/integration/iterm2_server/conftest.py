from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.iterm2_server.client import Client
from tests.iterm2_server.running import RunningITerm2


@pytest.fixture(scope="session")
def running_app() -> Iterator[RunningITerm2]:
    """One for all tests of a process; hidden sessions are drawn as often as the others."""
    with RunningITerm2.start("--slow", "30", "--profile", "Other") as running:
        yield running


@pytest.fixture
def iterm2_app(running_app: RunningITerm2) -> Iterator[RunningITerm2]:
    """Without a window when the test begins."""
    running_app.by_hand("close_all")
    yield running_app


@pytest.fixture
def at_home(iterm2_app: RunningITerm2, monkeypatch: pytest.MonkeyPatch) -> RunningITerm2:
    """The environment of a client."""
    for name, value in iterm2_app.environment.items():
        monkeypatch.setenv(name, value)
    return iterm2_app


@pytest.fixture
async def client(at_home: RunningITerm2) -> AsyncIterator[Client]:
    connected = await Client.connect()
    yield connected
    await connected.close()
