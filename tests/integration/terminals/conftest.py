import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.terminals.kit import Kit, PtyKit, TmuxKit, Watched


@pytest.fixture
def folder() -> Iterator[Path]:
    """A scratch folder with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="semo-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["pty", "tmux"])
async def kit(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Kit]:
    kits: dict[str, type[Kit]] = {"pty": PtyKit, "tmux": TmuxKit}
    made = kits[request.param](folder)
    yield made
    await made.tidy()


@pytest.fixture
async def agent(kit: Kit) -> Watched:
    return await kit.start()
