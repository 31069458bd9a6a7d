from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.machine import Machine, new_machine

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one file share a machine, so they stay on one worker."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group(f"acceptance {item.path.stem}"))


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine on which nothing runs yet."""
    with new_machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def running(machine: Machine) -> Machine:
    """A machine on which `semo up` has been called."""
    machine.up()
    return machine
