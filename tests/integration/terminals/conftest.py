import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.terminals.kit import ITerm2Kit, Kit, PtyKit, TmuxKit, Watched
from tests.iterm2_server.running import RunningITerm2


@pytest.fixture
def folder() -> Iterator[Path]:
    """A scratch folder with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="semo-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def iterm2() -> Iterator[RunningITerm2]:
    # Of a protocol that tells which tab is selected.
    with RunningITerm2.start("--protocol", "1.18") as running:
        yield running


@pytest.fixture(params=["pty", "tmux", "iterm2"])
async def kit(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kit]:
    made: Kit
    if request.param == "iterm2":
        running = request.getfixturevalue("iterm2")
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        made = ITerm2Kit(folder, running)
    else:
        made = PtyKit(folder) if request.param == "pty" else TmuxKit(folder)
    yield made
    await made.tidy()


@pytest.fixture
async def agent(kit: Kit) -> Watched:
    return await kit.start()
