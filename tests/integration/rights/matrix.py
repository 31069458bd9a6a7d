"""The rights as the database really grants them: every attempt is made, and rolled back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import Connection, sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from tests.integration.rights.expected import IDENTITIES, Matrix
from tests.integration.rights.office_rows import OfficeRows

VERBS = ("select", "insert", "update", "delete")

# What makes a copy of a seeded row another row.
FRESH_VALUES: dict[str, dict[str, object]] = {
    "office_members": {"role": "viewer"},
    "agent_personas": {"is_default": False},
}


class RightsProbe:
    """Tries every verb and every function as every identity."""

    def __init__(self, superuser: Connection[DictRow], rows: OfficeRows) -> None:
        self._connection = superuser
        self._rows = rows

    def tables(self) -> list[str]:
        """Every relation of the schemas that are ours, as `schema.name`."""
        found = self._connection.execute(
            "select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname in ('public', 'semo') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') order by 1"
        )
        return [row["name"] for row in found]

    def functions(self) -> list[str]:
        """Every function of the schemas that are ours, with its argument types."""
        found = self._connection.execute(
            "select n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name"
            " from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname in ('public', 'semo') order by 1"
        )
        return [row["name"] for row in found]

    def table_rights(self) -> Matrix:
        return {
            f"{table} {verb}": {identity: self._try_verb(table, verb, identity) for identity in IDENTITIES}
            for table in self.tables()
            for verb in VERBS
        }

    def function_rights(self, calls: dict[str, list[object]]) -> Matrix:
        return {
            name: {
                identity: self._try_function(name, calls.get(name.split("(")[0]), identity) for identity in IDENTITIES
            }
            for name in self.functions()
        }

    @contextmanager
    def _acting_as(self, identity: str) -> Iterator[None]:
        """A transaction of this identity, as the gateway opens it; always rolled back."""
        user = self._rows.identity(identity)
        role = "anon" if user is None else "authenticated"
        claims = {"role": role} if user is None else {"role": role, "sub": str(user)}
        with self._connection.transaction(force_rollback=True):
            self._connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
            self._connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            yield

    def _try_verb(self, table: str, verb: str, identity: str) -> str:
        columns = self._granted_columns(table, verb, identity)
        if not columns:
            return "denied"
        statement, values = self._statement(table, verb, columns)
        try:
            with self._acting_as(identity):
                touched = self._connection.execute(statement, values).rowcount
        except psycopg.errors.InsufficientPrivilege:
            return "denied by policy"
        return "allowed" if touched else "no rows"

    def _granted_columns(self, table: str, verb: str, identity: str) -> list[str]:
        role = "anon" if identity == "anon" else "authenticated"
        if verb == "delete":
            granted = "case when has_table_privilege(%(role)s, a.attrelid, 'delete') then true end"
        else:
            granted = "has_column_privilege(%(role)s, a.attrelid, a.attnum, %(verb)s)"
        found = self._connection.execute(
            # The text of the condition is one of the two above.
            "select a.attname from pg_attribute a"
            f" where a.attrelid = %(table)s::regclass and a.attnum > 0 and {granted}",
            {"role": role, "verb": verb, "table": table},
        )
        return [row["attname"] for row in found]

    def _statement(self, table: str, verb: str, columns: list[str]) -> tuple[sql.Composed, list[object]]:
        schema, name = table.split(".")
        target = sql.Identifier(schema, name)
        mine = self._seeded_rows_of(name)
        if verb == "select":
            return sql.SQL("select 1 from {} where {}").format(target, mine), []
        if verb == "update":
            change = sql.SQL("{0} = {0}").format(sql.Identifier(columns[0]))
            return sql.SQL("update {} set {} where {}").format(target, change, mine), []
        if verb == "delete":
            return sql.SQL("delete from {} where {}").format(target, mine), []
        copy = self._copy_of_seeded_row(target, name, mine)
        given = [column for column in columns if column in copy]
        listed = sql.SQL(", ").join(map(sql.Identifier, given))
        record = sql.SQL("select {} from jsonb_populate_record(null::{}, %s)").format(listed, target)
        return sql.SQL("insert into {} ({}) {}").format(target, listed, record), [Jsonb(copy)]

    def _seeded_rows_of(self, name: str) -> sql.Composable:
        """The rows of the office under test, so that a host of another office is seen to get none."""
        if name == "offices":
            return sql.SQL("id = {}").format(sql.Literal(self._rows.office))
        if name in ("agent_hosts", "circuit_breakers", "host_profiles", "leases"):
            column = "id" if name == "agent_hosts" else "host_id"
            return sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(self._rows.host))
        if name == "semo_migrations" or name.endswith("_seq"):
            return sql.SQL("true")
        return sql.SQL("office_id = {}").format(sql.Literal(self._rows.office))

    def _copy_of_seeded_row(self, target: sql.Identifier, name: str, mine: sql.Composable) -> dict[str, object]:
        found = self._connection.execute(
            sql.SQL("select to_jsonb(t) as row from {} t where {} limit 1").format(target, mine)
        )
        row = found.fetchone()
        assert row is not None, f"no seeded row in {name}"
        fresh = {key: str(uuid4()) for key in ("id", "user_id", "session_id") if key in row["row"]}
        return {**row["row"], **fresh, **FRESH_VALUES.get(name, {})}

    def _try_function(self, name: str, arguments: list[object] | None, identity: str) -> str:
        role = "anon" if identity == "anon" else "authenticated"
        found = self._connection.execute(
            "select has_schema_privilege(%s, split_part(%s, '.', 1), 'usage')"
            " and has_function_privilege(%s, (select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' = %s),"
            " 'execute') as granted",
            [role, name, role, name],
        ).fetchone()
        assert found is not None
        if not found["granted"]:
            return "denied"
        if arguments is None:
            return "callable"
        return self._call(name, arguments, identity)

    def _call(self, name: str, arguments: list[object], identity: str) -> str:
        schema, function = name.split("(")[0].split(".")
        places = sql.SQL(", ").join(sql.Placeholder() * len(arguments))
        statement = sql.SQL("select * from {}({})").format(sql.Identifier(schema, function), places)
        try:
            with self._acting_as(identity):
                answers = [next(iter(row.values())) for row in self._connection.execute(statement, arguments)]
        except psycopg.Error as refusal:
            return f"refused: {refusal.diag.message_primary}"
        if schema == "semo":
            return "yes" if answers[0] else "no"
        return "nothing" if answers in ([], [None]) else "allowed"
