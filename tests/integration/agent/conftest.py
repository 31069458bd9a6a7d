"""Fixtures of the agent's integration tests."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.agent.bench_host import Bench, running_host
from tests.integration.hub_fixture import RunningHub, end_hub, start_hub

SHELLS = os.environ.get("SEMO_TEST_SHELLS", "bash").split(",")


@pytest.fixture(scope="session")
def hub() -> Iterator[RunningHub]:
    # Short, because sockets are in it.
    with tempfile.TemporaryDirectory(prefix="semo-") as name:
        running = start_hub(Path(name))
        yield running
        end_hub(running)


@pytest.fixture(params=SHELLS)
def shell_name(request: pytest.FixtureRequest) -> str:
    """Each shell that this run is to be shown with."""
    return str(request.param)


@pytest.fixture
async def bench(shell_name: str) -> AsyncIterator[Bench]:
    """A host whose user has this shell."""
    path = shutil.which(shell_name)
    assert path is not None, f"{shell_name} is not installed"
    async with running_host(environment={"SHELL": path}) as running:
        yield running
