"""Offices in the database of each server that the SQL must run on."""

from collections.abc import Iterator

import pytest

from tests.integration.sql.jobs import SqlJobs
from tests.integration.sql.office import SqlOffice
from tests.integration.sql.pool import SqlPool


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


@pytest.fixture
def jobs(office: SqlOffice) -> Iterator[SqlJobs]:
    jobs = SqlJobs(office)
    yield jobs
    jobs.close()


@pytest.fixture
def pool(office: SqlOffice) -> Iterator[SqlPool]:
    pool = SqlPool(office)
    yield pool
    pool.close()
