"""One SQL statement for one REST request; every name is an identifier, every value a parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.sql import SQL, Composed, Identifier

from semo_hub.catalog import SCHEMA, Function, Returns, Table
from semo_hub.problems import UnknownName, unknown_column
from semo_hub.query import IS_VALUES, OPERATORS, Column, Condition, Group, Order, Query, Selected

_CALL = "pgrst_call"
_OPERATOR_SQL = {name: SQL(text) for name, text in OPERATORS.items()}
_IS_SQL = {name: SQL(name.replace("_", " ")) for name in IS_VALUES}
_JOINS = {"and": SQL(" and "), "or": SQL(" or ")}
_NOTHING = SQL("")
_UNCOUNTED = Composed([SQL("null::bigint")])
_ALL_ROWS = SQL("coalesce(json_agg(_t), '[]')::text")
_ONE_ROW = SQL("coalesce(json_agg(_t) -> 0, 'null')::text")
_BODIES = {
    Returns.NOTHING: SQL("''::text"),
    Returns.VALUE: SQL("coalesce(json_agg(pgrst_scalar) -> 0, 'null')::text"),
    Returns.VALUES: SQL("coalesce(json_agg(pgrst_scalar), '[]')::text"),
    Returns.ROW: _ONE_ROW,
    Returns.ROWS: _ALL_ROWS,
}


@dataclass(frozen=True)
class Statement:
    """SQL whose only row is (total or null, number of rows, body as JSON text), and its parameters."""

    sql: Composed
    parameters: list[Any]


@dataclass(frozen=True)
class Arguments:
    """What a function is called with: their names, and either one JSON object or a text for each."""

    names: frozenset[str]
    json: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


class Relation:
    """What columns belong to: turns parsed columns and conditions into SQL and collects parameters."""

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        """`columns`: those that exist, none when that is not known."""
        self._name = name
        self._columns = frozenset(columns)
        self.parameters: list[Any] = []

    def reference(self, column: Column) -> Composed:
        """Raises UnknownName (42703)."""
        self.check(column.name)
        reference = Composed([Identifier(self._name, column.name)])
        if not column.path:
            return reference
        steps = [self._step(arrow, key) for arrow, key in column.path]
        return SQL("(to_jsonb({}){})").format(reference, Composed(steps))

    def check(self, name: str) -> None:
        # A percent sign would be read as a placeholder; a column that is known has none that we can express.
        if "%" in name or "\0" in name or (self._columns and name not in self._columns):
            raise unknown_column(self._name, name)

    def selected(self, items: Sequence[Selected]) -> Composed:
        return SQL(", ").join([self._selected(item) for item in items])

    def where(self, filters: Sequence[Condition | Group]) -> Composed:
        if not filters:
            return Composed([_NOTHING])
        return SQL(" where {}").format(SQL(" and ").join([self._filter(item) for item in filters]))

    def order_by(self, items: Sequence[Order]) -> Composed:
        if not items:
            return Composed([_NOTHING])
        return SQL(" order by {}").format(SQL(", ").join([self._ordered(item) for item in items]))

    def page(self, query: Query) -> Composed:
        self.parameters += [query.row_limit, query.offset]
        return Composed([SQL(" limit %s offset %s")])

    def _selected(self, item: Selected) -> Composed:
        if item.column.name == "*":
            return SQL("{}.*").format(Identifier(self._name))
        reference = self.reference(item.column)
        if item.alias is None:
            return reference
        if "%" in item.alias:
            raise unknown_column(self._name, item.alias)
        return SQL("{} as {}").format(reference, Identifier(item.alias))

    def _step(self, arrow: str, key: str) -> Composed:
        number = key.removeprefix("-").isascii() and key.removeprefix("-").isdigit()
        self.parameters.append(key)
        operator = SQL("->>") if arrow == "->>" else SQL("->")
        return Composed([operator, SQL("%s::int") if number else SQL("%s::text")])

    def _filter(self, item: Condition | Group) -> Composed:
        inner = self._group(item) if isinstance(item, Group) else self._condition(item)
        return SQL("(not {})").format(inner) if item.negated else inner

    def _group(self, group: Group) -> Composed:
        return SQL("({})").format(_JOINS[group.operator].join([self._filter(member) for member in group.members]))

    def _condition(self, condition: Condition) -> Composed:
        reference = self.reference(condition.column)
        if condition.operator == "is":
            return SQL("({} is {})").format(reference, _IS_SQL[str(condition.value)])
        if condition.operator == "in":
            self.parameters.append(_array_literal(condition.value))
            return SQL("({} = any (%s))").format(reference)
        self.parameters.append(condition.value)
        return SQL("({} {} %s)").format(reference, _OPERATOR_SQL[condition.operator])

    def _ordered(self, item: Order) -> Composed:
        direction = SQL(" desc") if item.descending else SQL(" asc")
        nulls = {None: _NOTHING, True: SQL(" nulls first"), False: SQL(" nulls last")}[item.nulls_first]
        return Composed([self.reference(item.column), direction, nulls])


def select_rows(table: Table, query: Query, *, count: bool, single: bool) -> Statement:
    """The rows of a table; the total counts them without limit and offset."""
    relation = Relation(table.name, table.columns)
    target = Identifier(SCHEMA, table.name)
    source = SQL("select {} from {}").format(relation.selected(query.select), target)
    source += relation.where(query.filters) + relation.order_by(query.order) + relation.page(query)
    total = _UNCOUNTED
    if count:
        counted = Relation(table.name, table.columns)
        total = SQL("(select count(*) from {}{})").format(target, counted.where(query.filters))
        relation.parameters += counted.parameters
    return Statement(_answer(source, total, single=single), relation.parameters)


def insert_rows(
    table: Table,
    query: Query,
    payload: str,
    columns: Sequence[str],
    *,
    resolution: str,
    returning: bool,
    single: bool,
) -> Statement:
    """Insert the JSON array `payload`; `resolution`: what to do when a row exists, "" for an error."""
    relation = Relation(table.name, table.columns)
    target = Identifier(SCHEMA, table.name)
    parameters: list[Any] = []
    if columns:
        names = SQL(", ").join([_known(table, column) for column in columns])
        source = SQL("insert into {} ({}) select {} from json_populate_recordset(null::{}, %s::json)").format(
            target, names, names, target
        )
        parameters.append(payload)
    else:
        source = SQL("insert into {} default values").format(target)
    if resolution:
        source += _on_conflict(table, query.on_conflict or table.primary_key, columns, resolution)
    source += _returning(relation, query, returning)
    return Statement(_answer(source, _UNCOUNTED, single=single), parameters + relation.parameters)


def update_rows(
    table: Table, query: Query, payload: str, columns: Sequence[str], *, returning: bool, single: bool
) -> Statement:
    """Set `columns` to what the JSON object `payload` holds, in the rows that the filters leave."""
    relation = Relation(table.name, table.columns)
    target = Identifier(SCHEMA, table.name)
    names = [_known(table, column) for column in columns]
    assignments = [SQL("{} = pgrst_body.{}").format(name, name) for name in names]
    source = SQL("update {} set {} from json_populate_record(null::{}, %s::json) pgrst_body").format(
        target, SQL(", ").join(assignments), target
    )
    source += relation.where(query.filters) + _returning(relation, query, returning)
    return Statement(_answer(source, _UNCOUNTED, single=single), [payload, *relation.parameters])


def delete_rows(table: Table, query: Query, *, returning: bool, single: bool) -> Statement:
    """Delete the rows that the filters leave."""
    relation = Relation(table.name, table.columns)
    source = SQL("delete from {}").format(Identifier(SCHEMA, table.name))
    source += relation.where(query.filters) + _returning(relation, query, returning)
    return Statement(_answer(source, _UNCOUNTED, single=single), relation.parameters)


def call_function(function: Function, query: Query, arguments: Arguments, *, count: bool) -> Statement:
    """Call a function; select, filters, order and page apply to the rows of one that returns rows."""
    call, parameters = _call(function, arguments)
    relation = Relation(_CALL, function.columns)
    if function.returns in (Returns.ROW, Returns.ROWS):
        source = SQL("select {} from pgrst_call").format(relation.selected(query.select))
        source += relation.where(query.filters) + relation.order_by(query.order)
    else:
        source = Composed([SQL("select pgrst_scalar from pgrst_call")])
    source += relation.page(query)
    total = _UNCOUNTED
    if count:
        counted = Relation(_CALL, function.columns)
        total = SQL("(select count(*) from pgrst_call{})").format(counted.where(query.filters))
        relation.parameters += counted.parameters
    # Materialised, because a call must happen even if nothing of its result is used.
    sql = SQL("with pgrst_call as materialized ({}), pgrst_source as ({}) {}").format(
        call,
        source,
        SQL("select {}, count(*), {} from pgrst_source _t").format(total, _BODIES[function.returns]),
    )
    return Statement(sql, parameters + relation.parameters)


def _call(function: Function, arguments: Arguments) -> tuple[Composed, list[Any]]:
    """JSON is cast by json_to_record, which knows arrays and composite types; a text by a plain cast."""
    names = [name for name in function.arguments if name in arguments.names]
    types = [SQL(function.arguments[name]) for name in names]
    if arguments.json is not None and names:
        passed = [SQL("{} => pgrst_args.{}").format(Identifier(name), Identifier(name)) for name in names]
        typed = [SQL("{} {}").format(Identifier(name), type_) for name, type_ in zip(names, types, strict=True)]
        source = SQL("json_to_record(%s::json) as pgrst_args({})").format(SQL(", ").join(typed))
        return _select_call(function, passed, source), [arguments.json]
    passed = [SQL("{} => %s::{}").format(Identifier(name), type_) for name, type_ in zip(names, types, strict=True)]
    return _select_call(function, passed, None), [arguments.texts[name] for name in names]


def _select_call(function: Function, passed: list[Composed], source: Composed | None) -> Composed:
    call = SQL("{}({})").format(Identifier(SCHEMA, function.name), SQL(", ").join(passed))
    if function.returns in (Returns.ROW, Returns.ROWS):
        before = SQL("{}, lateral ").format(source) if source else Composed([_NOTHING])
        return SQL("select pgrst_result.* from {}{} as pgrst_result").format(before, call)
    after = SQL(" from {}").format(source) if source else Composed([_NOTHING])
    return SQL("select {} as pgrst_scalar{}").format(call, after)


def _answer(source: Composed, total: Composed, *, single: bool) -> Composed:
    return SQL("with pgrst_source as ({}) select {}, count(*), {} from pgrst_source _t").format(
        source, total, _ONE_ROW if single else _ALL_ROWS
    )


def _returning(relation: Relation, query: Query, wanted: bool) -> Composed:
    """Only what is asked for: returning a column takes the right to read it."""
    return SQL(" returning {}").format(relation.selected(query.select) if wanted else SQL("1"))


def _on_conflict(table: Table, key: Sequence[str], columns: Sequence[str], resolution: str) -> Composed:
    if not key:
        return Composed([_NOTHING])
    names = [_known(table, name) for name in key]
    changes = [SQL("{} = excluded.{}").format(Identifier(c), Identifier(c)) for c in columns]
    if resolution == "ignore-duplicates" or not changes:
        return SQL(" on conflict ({}) do nothing").format(SQL(", ").join(names))
    return SQL(" on conflict ({}) do update set {}").format(SQL(", ").join(names), SQL(", ").join(changes))


def _known(table: Table, column: str) -> Identifier:
    """A column that is written. Raises UnknownName (PGRST204)."""
    if column not in table.columns:
        message = f"Could not find the '{column}' column of '{table.name}' in the schema cache"
        raise UnknownName(400, "PGRST204", message)
    return Identifier(column)


def _array_literal(items: str | tuple[str, ...]) -> str:
    """PostgreSQL's text form of an array, which it casts to the type of the column."""
    escaped = (item.replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in escaped) + "}"
