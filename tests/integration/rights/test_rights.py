"""Who may do what: every table, verb and function against one file of expected outcomes."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from tests.integration.rights.calls import calls_of_every_function
from tests.integration.rights.expected import IDENTITIES, Matrix, read_expected, topic_objects
from tests.integration.rights.matrix import RightsProbe
from tests.integration.rights.office_rows import OfficeRows


@pytest.fixture(scope="module")
def superuser(sql_conninfo: str) -> Iterator[Connection[DictRow]]:
    with psycopg.connect(sql_conninfo, row_factory=dict_row, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def measured(superuser: Connection[DictRow]) -> Matrix:
    rows = OfficeRows()
    with superuser.transaction(force_rollback=True):
        rows.insert(superuser)
        probe = RightsProbe(superuser, rows)
        return probe.table_rights() | probe.function_rights(calls_of_every_function(rows))


def test_no_object_is_unknown_to_the_expected_rights(measured: Matrix) -> None:
    assert sorted([*measured, *topic_objects()]) == sorted(read_expected())


@pytest.mark.parametrize("identity", IDENTITIES)
def test_every_attempt_ends_as_expected(measured: Matrix, identity: str) -> None:
    expected = read_expected()
    wrong = {
        name: (outcomes[identity], expected[name][identity])
        for name, outcomes in measured.items()
        if outcomes[identity] != expected[name][identity]
    }
    assert wrong == {}, "outcome measured, outcome expected"


def test_r18_who_has_not_signed_in_can_neither_read_nor_write_anything(measured: Matrix) -> None:
    assert {name for name, outcomes in measured.items() if outcomes["anon"] != "denied"} == set()
    assert {"public.agent_commands select", "public.agent_commands insert"} <= set(measured)


def test_an_object_made_later_is_noticed(superuser: Connection[DictRow]) -> None:
    rows = OfficeRows()
    with superuser.transaction(force_rollback=True):
        superuser.execute("create table public.forgotten (id int primary key)")
        assert "public.forgotten" in RightsProbe(superuser, rows).tables()
    assert "public.forgotten select" not in read_expected()
