"""Offices in the database of each server that the SQL must run on."""

from collections.abc import Iterator

import pytest

from tests.integration.sql.office import SqlOffice


@pytest.fixture
def office(sql_conninfo: str) -> Iterator[SqlOffice]:
    office = SqlOffice(sql_conninfo)
    yield office
    office.close()


@pytest.fixture
def other_office(sql_conninfo: str) -> Iterator[SqlOffice]:
    office = SqlOffice(sql_conninfo)
    yield office
    office.close()
