"""`/rest/v1`: tables and functions of schema `public`, as PostgREST serves them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from semo_hub.auth import Caller
from semo_hub.catalog import SCHEMA, Facts, Function, Returns
from semo_hub.database import Answer, Check, Database, RequestFacts
from semo_hub.problems import Problem, UnknownName, malformed
from semo_hub.query import Query, parse_query
from semo_hub.statements import (
    Arguments,
    Statement,
    call_function,
    delete_rows,
    insert_rows,
    select_rows,
    update_rows,
)

_OBJECT = "application/vnd.pgrst.object"
_JSON_TYPES = ("*/*", "application/*", "application/json", f"{_OBJECT}+json", _OBJECT)
Prepared = TypeVar("Prepared")

_SECRET_HEADERS = ("authorization", "apikey", "cookie")


@dataclass(frozen=True)
class Preferences:
    """The header Prefer; `returning` is representation or minimal, `max_affected` None: any number."""

    returning: str = "minimal"
    count: bool = False
    resolution: str = ""
    max_affected: int | None = None

    @classmethod
    def parse(cls, header: str) -> "Preferences":
        """Raises Problem (PGRST122) for what the hub has not built."""
        named = dict(item.strip().partition("=")[::2] for item in header.split(",") if item.strip())
        if named.get("missing") == "default":
            raise Problem(400, "PGRST122", "Invalid preferences given with handling=strict", "missing=default")
        affected = named.get("max-affected", "")
        strict = named.get("handling") == "strict" and affected.isascii() and affected.isdigit()
        return cls(
            named.get("return", "minimal"),
            # An exact number is a good plan and a good estimate.
            named.get("count") in ("exact", "planned", "estimated"),
            named.get("resolution", ""),
            int(affected) if strict else None,
        )


@dataclass(frozen=True)
class Asked:
    """One request, read and checked."""

    method: str
    path: str
    target: str
    pairs: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    preferences: Preferences
    single: bool
    body: bytes

    @property
    def reads(self) -> bool:
        return self.method in ("GET", "HEAD")

    @property
    def facts(self) -> RequestFacts:
        shown = {name: value for name, value in self.headers.items() if name not in _SECRET_HEADERS}
        return RequestFacts(self.method, self.path, shown)


class Rest:
    """Answers requests of callers whose identity is known already."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def table(self, caller: Caller, asked: Asked) -> Response:
        """GET, HEAD, POST, PATCH or DELETE on a table or view. Raises Problem."""
        query = parse_query(asked.pairs)
        statement = await self._with_fresh_names(lambda facts: _table_statement(facts, query, asked))
        if statement is None:
            return _table_response(asked, query, Answer(None, 0, "[]"))
        check = _check_of(asked, one_row=asked.single)
        answer = await self._database.run(caller, asked.facts, statement, read_only=asked.reads, check=check)
        return _table_response(asked, query, answer)

    async def function(self, caller: Caller, asked: Asked) -> Response:
        """GET, HEAD or POST on a function. Raises Problem."""
        call = await self._with_fresh_names(lambda facts: _call(facts, asked))
        one_row = asked.single and call.function.returns is Returns.ROWS
        check = _check_of(asked, one_row=one_row)
        answer = await self._database.run(caller, asked.facts, call.statement, read_only=asked.reads, check=check)
        return _function_response(asked, call, answer)

    async def _with_fresh_names(self, prepare: Callable[[Facts], Prepared]) -> Prepared:
        """Prepare from the catalog; read that again first when a name is not in it."""
        catalog = self._database.catalog
        try:
            return prepare(catalog.facts)
        except UnknownName:
            if not catalog.may_be_outdated:
                raise
        await self._database.read_catalog()
        return prepare(catalog.facts)


def read_asked(request: Request, body: bytes) -> Asked:
    """Take a request apart. Raises Problem for what no table or function can answer."""
    _refuse_other_schemas(request)
    accepted = [item.partition(";")[0].strip() for item in request.headers.get("accept", "*/*").split(",")]
    if not any(item in _JSON_TYPES for item in accepted):
        raise Problem(406, "PGRST107", f"None of these media types are available: {', '.join(accepted)}")
    return Asked(
        method=request.method,
        path=request.url.path,
        target=request.path_params["name"],
        pairs=tuple(parse_qsl(request.url.query, keep_blank_values=True)),
        headers=request.headers,
        preferences=Preferences.parse(",".join(request.headers.getlist("prefer"))),
        single=any(item.startswith(_OBJECT) for item in accepted),
        body=body,
    )


def _refuse_other_schemas(request: Request) -> None:
    header = "accept-profile" if request.method in ("GET", "HEAD") else "content-profile"
    schema = request.headers.get(header, SCHEMA)
    if schema != SCHEMA:
        hint = f"Only the following schemas are exposed: {SCHEMA}"
        raise Problem(406, "PGRST106", f"Invalid schema: {schema}", None, hint)


def _table_statement(facts: Facts, query: Query, asked: Asked) -> Statement | None:
    """None when there is nothing to write."""
    table = facts.table(asked.target)
    returning = asked.preferences.returning == "representation"
    if asked.reads:
        return select_rows(table, query, count=asked.preferences.count, single=asked.single)
    if asked.method == "POST":
        payload = Payload.of_rows(asked.body, query)
        if payload is None:
            return None
        resolution = asked.preferences.resolution
        return insert_rows(
            table,
            query,
            payload.text,
            payload.columns,
            resolution=resolution,
            returning=returning,
            single=asked.single,
        )
    _refuse_page(query)
    if asked.method == "PATCH":
        payload = Payload.of_changes(asked.body, query)
        if payload is None:
            return None
        return update_rows(table, query, payload.text, payload.columns, returning=returning, single=asked.single)
    return delete_rows(table, query, returning=returning, single=asked.single)


def _refuse_page(query: Query) -> None:
    """It would change more than the caller means."""
    if query.limit is not None or query.offset:
        raise malformed("limit and offset are only for reading", "Select the rows to change with filters.")


@dataclass(frozen=True)
class Payload:
    """What is written: its JSON text, and the columns that are named in it or in columns=."""

    text: str
    columns: tuple[str, ...]

    @classmethod
    def of_rows(cls, body: bytes, query: Query) -> "Payload | None":
        """Rows to insert: an object, or an array of objects with equal keys; None when there is none."""
        text, content = read_json_body(body)
        rows = content if isinstance(content, list) else [content]
        if not all(isinstance(row, dict) for row in rows):
            raise Problem(400, "PGRST102", "Empty or invalid json")
        if not rows:
            return None
        if query.columns is None and any(row.keys() != rows[0].keys() for row in rows):
            raise Problem(400, "PGRST102", "All object keys must match")
        columns = tuple(rows[0]) if query.columns is None else query.columns
        if not columns and len(rows) > 1:
            raise Problem(400, "PGRST102", "Several rows must name their columns")
        return cls(text if isinstance(content, list) else f"[{text}]", columns)

    @classmethod
    def of_changes(cls, body: bytes, query: Query) -> "Payload | None":
        """Values to set; None when there is none."""
        text, content = read_json_body(body)
        if not isinstance(content, dict):
            raise Problem(400, "PGRST102", "Empty or invalid json")
        columns = tuple(content) if query.columns is None else query.columns
        return cls(text, columns) if columns else None


def read_json_body(body: bytes) -> tuple[str, Any]:
    """The text of a body and the JSON value in it. Raises Problem (PGRST102)."""
    try:
        text = body.decode()
        return text, json.loads(text)
    except (ValueError, RecursionError) as err:
        raise Problem(400, "PGRST102", "Empty or invalid json") from err


@dataclass(frozen=True)
class Call:
    """A function call that is ready to run."""

    function: Function
    query: Query
    statement: Statement


def _call(facts: Facts, asked: Asked) -> Call:
    """A read names its arguments in the query string, between filters; a POST in its body."""
    pairs = asked.pairs
    if asked.reads:
        known = {name for function in facts.functions.get(asked.target, ()) for name in function.arguments}
        texts = {name: value for name, value in pairs if name in known}
        pairs = tuple(pair for pair in pairs if pair[0] not in known)
        arguments = Arguments(frozenset(texts), texts=texts)
    else:
        arguments = _body_arguments(asked.body)
    function = facts.function(asked.target, arguments.names)
    query = parse_query(pairs)
    return Call(function, query, call_function(function, query, arguments, count=asked.preferences.count))


def _body_arguments(body: bytes) -> Arguments:
    text, content = read_json_body(body or b"{}")
    if not isinstance(content, dict):
        raise Problem(400, "PGRST102", "Empty or invalid json")
    return Arguments(frozenset(content), json=text)


def _check_of(asked: Asked, *, one_row: bool) -> Check | None:
    """What must be true of an answer before it is committed; None when that is nothing."""
    limit = None if asked.reads else asked.preferences.max_affected
    if limit is None and not (one_row and _has_body(asked)):
        return None

    def check(answer: Answer) -> None:
        if limit is not None and answer.rows > limit:
            message = "Query result exceeds max-affected preference constraint"
            raise Problem(400, "PGRST124", message, f"The query affects {answer.rows} rows")
        if one_row and answer.rows != 1:
            message = "Cannot coerce the result to a single JSON object"
            raise Problem(406, "PGRST116", message, f"The result contains {answer.rows} rows")

    return check


def _has_body(asked: Asked) -> bool:
    return asked.reads or asked.preferences.returning == "representation" or "/rpc/" in asked.path


def _table_response(asked: Asked, query: Query, answer: Answer) -> Response:
    if asked.reads:
        return _page_response(asked, query, answer)
    counted = str(answer.rows) if asked.preferences.count else "*"
    changed = f"0-{answer.rows - 1}" if asked.method == "PATCH" and answer.rows else "*"
    headers = {"content-range": f"{changed}/{counted}"}
    if _has_body(asked):
        return _json_response(201 if asked.method == "POST" else 200, answer.body, asked, headers)
    return Response(status_code=201 if asked.method == "POST" else 204, headers=headers)


def _function_response(asked: Asked, call: Call, answer: Answer) -> Response:
    if call.function.returns is Returns.NOTHING:
        return Response(status_code=204, headers={"content-range": "*/*"})
    if call.function.returns is not Returns.ROWS:
        return _json_response(200, answer.body, asked, {"content-range": "0-0/*"})
    if asked.single:
        answer = Answer(answer.total, answer.rows, json.dumps(json.loads(answer.body)[0]))
    return _page_response(asked, call.query, answer)


def _page_response(asked: Asked, query: Query, answer: Answer) -> Response:
    total = answer.total
    if total is not None and query.offset > total:
        details = f"An offset of {query.offset} was requested, but there are only {total} rows."
        raise Problem(416, "PGRST103", "Requested range not satisfiable", details)
    shown = f"{query.offset}-{query.offset + answer.rows - 1}" if answer.rows else "*"
    status = 206 if total is not None and answer.rows < total else 200
    headers = {"content-range": f"{shown}/{'*' if total is None else total}"}
    return _json_response(status, answer.body, asked, headers)


def _json_response(status: int, body: str, asked: Asked, headers: dict[str, str]) -> Response:
    content_type = f"{_OBJECT}+json; charset=utf-8" if asked.single else "application/json; charset=utf-8"
    content = b"" if asked.method == "HEAD" else body.encode()
    return Response(content, status, {**headers, "content-type": content_type})
