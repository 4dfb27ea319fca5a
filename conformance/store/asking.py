"""How rules ask: values in records of their own, and conditions on the field that they are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from tidesync.conformance.expect import equal
from tidesync.conformance.store.bench import StoreBench, refill
from tidesync.conformance.store.tables import THING
from tidesync.query import (
    And,
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    Field,
    Function,
    In,
    Negate,
    Not,
    Or,
    Query,
    Value,
)
from tidesync.records import Json, Record
from tidesync.values import ColumnType

Condition: TypeAlias = Callable[[Field], Expr]
"""Makes a condition on a field."""
Rows: TypeAlias = list[Record]
Case: TypeAlias = tuple[Condition, Sequence[Json]]
"""A condition, and those of the values that it holds for, in the order in which they are given."""

ANYWHERE: Final = (
    Field("any"), Field("extra"), Field("number", ColumnType.INTEGER), Field("text", ColumnType.STRING), Field("tree"),
)  # fmt: skip
"""A column of any type, a field that no schema names, columns with an index, and a column of JSON."""


def asked(
    bench: StoreBench, values: Sequence[Json], cases: Sequence[Case], fields: Sequence[Field] = ANYWHERE
) -> None:
    """Put each of the values in a record of its own, field after field: select and count must find what is expected."""
    store = bench.open()
    for field in fields:
        legal = bench.domain.legal_values(field.name, values)
        records: list[Record] = [
            {"id": id, field.name: value} for id, value in zip(bench.ids(len(legal)), legal, strict=True)
        ]
        refill(store, records)
        with store.transaction(write=False) as transaction:
            for condition, expected in cases:
                where = condition(field)
                wanted = bench.domain.legal_values(field.name, expected)
                found = [record.get(field.name) for record in transaction.select(Query(THING.name, where))]
                equal(wanted, found, f"where {shown(where)}")
                equal(len(wanted), transaction.count(Query(THING.name, where)), f"count where {shown(where)}")


def shown(expr: Expr) -> str:
    """An expression for messages: `eq(any, 1)`."""
    match expr:
        case Field(name, kind):
            return name if kind is not ColumnType.DECIMAL else f"decimal({name})"
        case Value(value):
            return f"{value!a:.40}"
        case Compare(op, left, right) | Arithmetic(op, left, right):
            return f"{op}({shown(left)}, {shown(right)})"
        case In(item, values):
            return f"in({shown(item)}, {values!a:.60})"
        case And(items) | Or(items):
            return f"{type(expr).__name__.lower()}({', '.join(map(shown, items[:3]))})"
        case Not(item) | Negate(item):
            return f"{type(expr).__name__.lower()}({shown(item)})"
        case Call(function, arguments):
            return f"{function}({', '.join(map(shown, arguments))})"


def is_(op: CompareOp, value: Json, type: ColumnType | None = None) -> Condition:
    """`field op value`, the value being of the field's type unless another is given."""
    return lambda field: Compare(op, field, Value(value, type or field.type))


def among(*values: Json) -> Condition:
    """The field equals one of the values."""
    return lambda field: In(field, values)


def has(function: Function, part: Json) -> Condition:
    """A function of the field and a constant."""
    return lambda field: Call(function, (field, Value(part)))


def gives(made: Condition, value: Json) -> Condition:
    """What is made of the field equals the value."""
    return lambda field: Compare("eq", made(field), Value(value))


def to(op: ArithmeticOp, value: Json) -> Condition:
    """`field op value`, computed."""
    return lambda field: Arithmetic(op, field, Value(value))


def of(function: Function) -> Condition:
    """A function of the field."""
    return lambda field: Call(function, (field,))


def no(condition: Condition) -> Condition:
    """The condition does not hold."""
    return lambda field: Not(condition(field))


def told(query: Query) -> str:
    """A query for messages."""
    parts = [] if query.where is None else [f"where {shown(query.where)}"]
    parts += [f"by {shown(key.by)}{' descending' if key.descending else ''}" for key in query.order]
    parts += [f"skip {query.skip}"] if query.skip else []
    parts += [] if query.take is None else [f"take {query.take}"]
    parts += [] if query.fields is None else [f"fields {query.fields!a}"]
    return f"select {', '.join(parts) or 'everything'}"
