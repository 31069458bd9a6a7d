"""Offices in the database of the hub that the session runs."""

from collections.abc import Iterator

import pytest

from tests.integration.sql.office import SqlOffice


@pytest.fixture
def office(superuser_conninfo: str) -> Iterator[SqlOffice]:
    office = SqlOffice(superuser_conninfo)
    yield office
    office.close()


@pytest.fixture
def other_office(superuser_conninfo: str) -> Iterator[SqlOffice]:
    office = SqlOffice(superuser_conninfo)
    yield office
    office.close()
