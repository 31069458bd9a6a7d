"""The query string of a REST request, read into what it asks for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from semo_hub.problems import malformed

MAX_ROWS = 1000

OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "is distinct from",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
}
IS_VALUES = ("null", "not_null", "true", "false", "unknown")

_MAX_DEPTH = 20  # of and(or(...)): each level reads its text again
_SPECIAL = ("select", "order", "limit", "offset", "columns", "on_conflict", "apikey")
_LOGIC = re.compile(r"(?P<not>not\.)?(?P<operator>and|or)")
_PATH_STEP = re.compile(r"(->>|->)")
_CAST = re.compile(r"[^:]::[^:]")


@dataclass(frozen=True)
class Column:
    """A column, or a place inside a JSON column: steps of ("->" or "->>", key)."""

    name: str
    path: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Selected:
    """One item of select=; a column named * stands for all of them."""

    column: Column
    alias: str | None = None


@dataclass(frozen=True)
class Condition:
    """`column operator value`; for `in` the value is a tuple."""

    column: Column
    operator: str
    value: str | tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True)
class Group:
    """Conditions joined by `and` or `or`."""

    operator: str
    members: tuple["Condition | Group", ...]
    negated: bool = False


@dataclass(frozen=True)
class Order:
    """One item of order=; `nulls_first` None leaves it to the direction."""

    column: Column
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True)
class Query:
    """What a query string asks for. `columns` and `on_conflict` are None when it does not say."""

    select: tuple[Selected, ...] = (Selected(Column("*")),)
    filters: tuple[Condition | Group, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None

    @property
    def row_limit(self) -> int:
        return MAX_ROWS if self.limit is None else min(self.limit, MAX_ROWS)


def parse_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read the decoded pairs of a query string. Raises Problem (PGRST100) where they can't be read."""
    special: dict[str, str] = {}
    filters: list[Condition | Group] = []
    for key, value in pairs:
        if key in _SPECIAL:
            special[key] = value
        elif logic := _LOGIC.fullmatch(key):
            filters.append(_parse_group(logic, value))
        else:
            filters.append(_parse_condition(key, value))
    return Query(
        select=_parse_select(special.get("select", "*")),
        filters=tuple(filters),
        order=_parse_order(special.get("order", "")),
        limit=_parse_number(special.get("limit")),
        offset=_parse_number(special.get("offset")) or 0,
        columns=_parse_names(special.get("columns")),
        on_conflict=_parse_names(special.get("on_conflict")),
    )


def split_list(text: str) -> list[str]:
    """Split at commas outside of quotes and parentheses; quotes stay."""
    items: list[str] = []
    start = depth = 0
    quoted = escaped = False
    for position, character in enumerate(text):
        if escaped or (quoted and character == "\\"):
            escaped = not escaped
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "({":
            depth += 1
        elif not quoted and character in ")}":
            depth -= 1
        elif not quoted and depth == 0 and character == ",":
            items.append(text[start:position])
            start = position + 1
    return [*items, text[start:]] if text else []


def unquote(text: str) -> str:
    """Without surrounding double quotes and the backslashes inside of them."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def parse_column(text: str) -> Column:
    """`name`, or a JSON path `name->key->>key`."""
    name, *steps = _PATH_STEP.split(text)
    if not name or not all(steps):
        raise malformed(f'"failed to parse column name ({text})"')
    return Column(unquote(name), tuple(zip(steps[::2], map(unquote, steps[1::2]), strict=True)))


def _parse_select(text: str) -> tuple[Selected, ...]:
    return tuple(_parse_selected(item) for item in split_list(text)) or (Selected(Column("*")),)


def _parse_selected(item: str) -> Selected:
    if "(" in item:
        raise malformed(f'"failed to parse select parameter ({item})"', "Embedded resources are not built yet here.")
    if _CAST.search(item):
        raise malformed(f'"failed to parse select parameter ({item})"', "Casts are not built yet here.")
    alias, colon, column = item.rpartition(":")
    parsed = parse_column(column)
    if colon:
        return Selected(parsed, unquote(alias))
    # As PostgREST does, a JSON path is called by its last key.
    return Selected(parsed, parsed.path[-1][1] if parsed.path else None)


def _parse_order(text: str) -> tuple[Order, ...]:
    return tuple(_parse_ordered(item) for item in split_list(text))


def _parse_ordered(item: str) -> Order:
    column, *words = item.split(".")
    descending, nulls_first = False, None
    for word in words:
        if word in ("asc", "desc"):
            descending = word == "desc"
        elif word in ("nullsfirst", "nullslast"):
            nulls_first = word == "nullsfirst"
        else:
            raise malformed(f'"failed to parse order ({item})"', f'unexpected "{word}"')
    return Order(parse_column(column), descending, nulls_first)


def _parse_number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise malformed(f'"failed to parse limit or offset ({text})"', "a whole number from 0 is expected")
    return int(text)


def _parse_names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(unquote(item.strip()) for item in split_list(text))


def _parse_group(logic: re.Match[str], value: str, depth: int = 1) -> Group:
    if depth > _MAX_DEPTH:
        raise malformed('"failed to parse logic tree"', "it is nested too deeply")
    if not (value.startswith("(") and value.endswith(")") and len(value) > 2):
        raise malformed(f'"failed to parse logic tree ({value})"', "parentheses are expected around it")
    members = tuple(_parse_member(item, depth) for item in split_list(value[1:-1]))
    return Group(logic["operator"], members, bool(logic["not"]))


def _parse_member(item: str, depth: int) -> Condition | Group:
    if nested := re.fullmatch(r"((?:not\.)?(?:and|or))(\(.*\))", item, flags=re.DOTALL):
        logic = _LOGIC.fullmatch(nested[1])
        if logic:
            return _parse_group(logic, nested[2], depth + 1)
    column, dot, rest = item.partition(".")
    if not dot:
        raise malformed(f'"failed to parse logic tree ({item})"', "column.operator.value is expected")
    return _parse_condition(column, rest, in_list=True)


def _parse_condition(key: str, text: str, *, in_list: bool = False) -> Condition:
    """Values are quoted only where commas separate them: in a list."""
    column = parse_column(key)
    negated = text.startswith("not.")
    operator, dot, value = text.removeprefix("not.").partition(".")
    if dot and operator == "in" and value.startswith("(") and value.endswith(")"):
        return Condition(column, "in", tuple(unquote(item) for item in split_list(value[1:-1])), negated)
    if dot and operator == "is" and value.lower() in IS_VALUES:
        return Condition(column, "is", value.lower(), negated)
    if dot and operator in OPERATORS:
        value = unquote(value) if in_list else value
        return Condition(column, operator, value.replace("*", "%") if "like" in operator else value, negated)
    raise malformed(f'"failed to parse filter ({text})"', f'no operator and value in "{text}"')
