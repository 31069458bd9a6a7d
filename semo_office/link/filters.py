"""Conditions on the rows of a table, as REST has them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Value = str | int | UUID | datetime
Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "in", "is"]


@dataclass(frozen=True)
class Filter:
    """`column operator value`, the value as REST text."""

    column: str
    operator: Operator
    value: str


def eq(column: str, value: Value) -> Filter:
    return Filter(column, "eq", _text(value))


def neq(column: str, value: Value) -> Filter:
    return Filter(column, "neq", _text(value))


def gt(column: str, value: Value) -> Filter:
    return Filter(column, "gt", _text(value))


def gte(column: str, value: Value) -> Filter:
    return Filter(column, "gte", _text(value))


def is_null(column: str) -> Filter:
    return Filter(column, "is", "null")


def among(column: str, values: Iterable[Value]) -> Filter:
    """`column in (values)`; no values match no row."""
    quoted = (f'"{_quotable(_text(value))}"' for value in values)
    return Filter(column, "in", f"({','.join(quoted)})")


def _text(value: Value) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
