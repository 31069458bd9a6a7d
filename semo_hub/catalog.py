"""What the schema `public` holds, read from pg_catalog and kept until it is out of date."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import psycopg

from semo_hub.problems import Problem, UnknownName

SCHEMA = "public"

_RELOAD_PAUSE = 0.2  # s between two reloads that were caused by unknown names

# Every type name is qualified under an empty search_path, so that it means the same under any other.
_EMPTY_PATH = "select set_config('search_path', '', true)"

_TABLES = """
select c.relname,
       array_agg(a.attname::text order by a.attnum),
       coalesce((select array_agg(k.attname::text order by k.attnum)
                   from pg_index i join pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey)
                  where i.indrelid = c.oid and i.indisprimary), '{}')
  from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
   and a.attnum > 0 and not a.attisdropped
 group by c.oid, c.relname
"""

_FUNCTIONS = """
select p.proname,
       coalesce(p.proargnames, '{}'),
       coalesce(p.proargmodes::text[], '{}'),
       array(select format_type(t, null) from unnest(p.proargtypes) with ordinality as u(t, n) order by n),
       p.pronargdefaults,
       p.proretset,
       p.prorettype = 'void'::regtype,
       r.typtype = 'c' or coalesce(p.proargmodes::text[] && '{o,b,t}', false),
       coalesce((select array_agg(a.attname::text order by a.attnum) from pg_attribute a
                  where a.attrelid = r.typrelid and a.attnum > 0 and not a.attisdropped), '{}')
  from pg_proc p join pg_type r on r.oid = p.prorettype
 where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
"""

_ROLE_SETTINGS = """
select r.rolname, split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)
  from pg_db_role_setting d join pg_roles r on r.oid = d.setrole, unnest(d.setconfig) s
 where r.rolname in ('anon', 'authenticated', 'service_role')
   and d.setdatabase in (0, (select oid from pg_database where datname = current_database()))
 order by d.setdatabase
"""


class Returns(Enum):
    """The form of what a function returns."""

    NOTHING = "void"
    VALUE = "value"
    VALUES = "values"
    ROW = "row"
    ROWS = "rows"


@dataclass(frozen=True)
class Table:
    """A table or view: its columns, and those of its primary key."""

    name: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A function: types by argument name in order, which arguments it needs, and what comes back."""

    name: str
    arguments: Mapping[str, str]
    required: frozenset[str]
    returns: Returns
    columns: tuple[str, ...]

    def accepts(self, names: frozenset[str]) -> bool:
        return self.required <= names <= frozenset(self.arguments)


@dataclass(frozen=True)
class Facts:
    """One reading of the catalog."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    functions: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    role_settings: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """Raises UnknownName."""
        if name in self.tables:
            return self.tables[name]
        raise UnknownName(404, "PGRST205", f"Could not find the table '{SCHEMA}.{name}' in the schema cache")

    def function(self, name: str, names: frozenset[str]) -> Function:
        """The one function of that name which takes these arguments. Raises UnknownName or Problem."""
        found = [function for function in self.functions.get(name, ()) if function.accepts(names)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(sorted(names))
        if found:
            raise Problem(300, "PGRST203", f"Could not choose the best candidate function between {len(found)}")
        called = f"{SCHEMA}.{name}({listed})" if names else f"{SCHEMA}.{name} without parameters"
        raise UnknownName(
            404,
            "PGRST202",
            f"Could not find the function {called} in the schema cache",
            f"Searched for the function {SCHEMA}.{name} "
            + (f"with parameters {listed}" if names else "without parameters")
            + ", but no matches were found in the schema cache.",
        )


class Catalog:
    """The facts that requests are checked against."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.facts = Facts()
        self._monotonic = monotonic
        self._read_at = float("-inf")

    @property
    def may_be_outdated(self) -> bool:
        """Whether an unknown name is worth another reading, which costs some milliseconds."""
        return self._monotonic() - self._read_at >= _RELOAD_PAUSE

    async def read(self, connection: psycopg.AsyncConnection) -> None:
        """Read everything again; `connection` is in autocommit mode."""
        self._read_at = self._monotonic()
        async with connection.transaction():
            await connection.execute(_EMPTY_PATH)
            tables = await (await connection.execute(_TABLES)).fetchall()
            functions = await (await connection.execute(_FUNCTIONS)).fetchall()
            settings = await (await connection.execute(_ROLE_SETTINGS)).fetchall()
        self.facts = Facts(
            {name: Table(name, tuple(columns), tuple(key)) for name, columns, key in tables},
            _group_by_name([_function(*row) for row in functions]),
            _group_settings(settings),
        )


def _function(
    name: str,
    argument_names: list[str],
    modes: list[str],
    types: list[str],
    defaults: int,
    returns_set: bool,
    returns_void: bool,
    composite: bool,
    row_columns: list[str],
) -> Function:
    modes = modes or ["i"] * len(argument_names)
    inputs = [n for n, mode in zip(argument_names, modes, strict=True) if mode in "ibv"]
    outputs = [n for n, mode in zip(argument_names, modes, strict=True) if mode in "obt"]
    arguments = dict(zip(inputs, types, strict=False))
    required = inputs[: len(inputs) - defaults]
    # Arguments without a name can't be given by name: such a function is never found.
    required += ["?"] * (len(types) - len(inputs))
    return Function(
        name,
        arguments,
        frozenset(required),
        _form(returns_set, returns_void, composite),
        tuple(outputs or row_columns),
    )


def _form(returns_set: bool, returns_void: bool, composite: bool) -> Returns:
    if returns_void:
        return Returns.NOTHING
    if composite:
        return Returns.ROWS if returns_set else Returns.ROW
    return Returns.VALUES if returns_set else Returns.VALUE


def _group_by_name(functions: list[Function]) -> dict[str, tuple[Function, ...]]:
    grouped: dict[str, tuple[Function, ...]] = {}
    for function in functions:
        grouped[function.name] = (*grouped.get(function.name, ()), function)
    return grouped


def _group_settings(rows: list[tuple[str, str, str]]) -> dict[str, tuple[tuple[str, str], ...]]:
    grouped: dict[str, dict[str, str]] = {}
    for role, name, value in rows:
        grouped.setdefault(role, {})[name] = value
    return {role: tuple(settings.items()) for role, settings in grouped.items()}
