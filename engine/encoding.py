"""A query as text: canonical, so that two queries are one if their texts are, and kept beside a cursor."""

from __future__ import annotations

import json
from typing import Any, cast

from tidesync.query import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.values import ColumnType


def encode_query(query: Query) -> str:
    """The query's text: equal for equal queries, and for those alone. It is JSON, but opaque."""
    return json.dumps(query_json(query), separators=(",", ":"), allow_nan=False)


def query_json(query: Query) -> dict[str, Any]:
    """The query as JSON, every part of it named; an expression is a list that begins with its kind."""
    return {
        "table": query.table,
        "where": None if query.where is None else _encode(query.where),
        "order": [[_encode(key.by), key.descending] for key in query.order],
        "skip": query.skip,
        "take": query.take,
        "fields": None if query.fields is None else list(query.fields),
        "total": query.total,
    }


def decode_query(text: str) -> Query:
    """The query that `encode_query` made the text of."""
    parts: dict[str, Any] = json.loads(text)
    return Query(
        table=parts["table"],
        where=None if parts["where"] is None else _decode(parts["where"]),
        order=tuple(Order(_decode(by), descending) for by, descending in parts["order"]),
        skip=parts["skip"],
        take=parts["take"],
        fields=None if parts["fields"] is None else tuple(parts["fields"]),
        total=parts["total"],
    )


def _encode(expr: Expr) -> list[Any]:
    match expr:
        case Field(name, type):
            return ["field", name, type.value]
        case Value(value, type):
            return ["value", value, type.value]
        case Compare(op, left, right):
            return ["compare", op, _encode(left), _encode(right)]
        case In(item, values):
            return ["in", _encode(item), list(values)]
        case And(items):
            return ["and", *map(_encode, items)]
        case Or(items):
            return ["or", *map(_encode, items)]
        case Not(item):
            return ["not", _encode(item)]
        case Arithmetic(op, left, right):
            return ["arithmetic", op, _encode(left), _encode(right)]
        case Negate(item):
            return ["negate", _encode(item)]
        case Call(function, arguments):
            return ["call", function, *map(_encode, arguments)]


def _decode(node: Any) -> Expr:
    match node:
        case ["field", name, type]:
            return Field(name, ColumnType(type))
        case ["value", value, type]:
            return Value(value, ColumnType(type))
        case ["compare", op, left, right]:
            return Compare(op, _decode(left), _decode(right))
        case ["in", item, values]:
            return In(_decode(item), tuple(cast("list[Any]", values)))
        case ["and", *items]:
            return And(tuple(map(_decode, items)))
        case ["or", *items]:
            return Or(tuple(map(_decode, items)))
        case ["not", item]:
            return Not(_decode(item))
        case ["arithmetic", op, left, right]:
            return Arithmetic(op, _decode(left), _decode(right))
        case ["negate", item]:
            return Negate(_decode(item))
        case ["call", function, *arguments]:
            return Call(function, tuple(map(_decode, arguments)))
        case _:
            raise ValueError(f"no expression is written as {node!r:.60}")
