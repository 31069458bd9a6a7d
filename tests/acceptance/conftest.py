from collections.abc import Iterator

import pytest

from tests.acceptance.machine import Machine, new_machine


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine on which nothing runs yet. The tests of one file share it, so they form one xdist group."""
    with new_machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def running(machine: Machine) -> Machine:
    """A machine on which `semo up` has been called."""
    machine.up()
    return machine
