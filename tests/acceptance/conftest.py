from collections.abc import Iterator

import pytest

from tests.acceptance.machine import Machine, new_machine


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
