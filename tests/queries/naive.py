"""What a query means, written down a second time: slow, plain, with nothing shared but the AST.

Every value is a pair (kind, number of Fractions, text or truth), so that Python's own coercions play no part.
"""

import math
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cmp_to_key
from typing import Any

from tidesync.query import And, Arithmetic, Call, Compare, Expr, Field, In, Negate, Not, Or, Query, Value
from tidesync.records import Record
from tidesync.values import ColumnType

KINDS = ("null", "boolean", "number", "text", "structure")


def kind(value: Any) -> str:
    """The kind of a JSON value (or of a Decimal that came from one)."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    return "text" if isinstance(value, str) else "structure"


def compared(a: Any, b: Any) -> int | None:
    """-1, 0 or 1 for two values of one kind, None where they do not compare."""
    if kind(a) != kind(b) or kind(a) == "structure":
        return None
    if kind(a) == "null":
        return 0
    if kind(a) == "number":
        a, b = Fraction(a), Fraction(b)
    elif kind(a) == "text":
        a, b = [ord(character) for character in a], [ord(character) for character in b]
    return -1 if a < b else 1 if a > b else 0


def holds(op: str, a: Any, b: Any) -> bool:
    """Whether `a op b`."""
    order = compared(a, b)
    if op in ("eq", "ne"):
        return (order == 0) is (op == "eq")
    if order is None or a is None:
        return False
    return {"lt": order < 0, "le": order <= 0, "gt": order > 0, "ge": order >= 0}[op]


def number_of_text(value: Any) -> Any:
    """What the text of a DECIMAL column stands for."""
    if not isinstance(value, str):
        return value if kind(value) == "number" else None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def evaluate(expr: Expr, record: Record) -> Any:
    """The value of an expression for a record."""
    if isinstance(expr, Field | Value):
        value = record.get(expr.name) if isinstance(expr, Field) else expr.value
        return number_of_text(value) if expr.type is ColumnType.DECIMAL else value
    if isinstance(expr, Compare):
        return holds(expr.op, evaluate(expr.left, record), evaluate(expr.right, record))
    if isinstance(expr, In):
        decimal = isinstance(expr.item, Field) and expr.item.type is ColumnType.DECIMAL
        item = evaluate(expr.item, record)
        return any(holds("eq", item, number_of_text(value) if decimal else value) for value in expr.values)
    if isinstance(expr, And):
        return all(evaluate(item, record) is True for item in expr.items)
    if isinstance(expr, Or):
        return any(evaluate(item, record) is True for item in expr.items)
    if isinstance(expr, Not):
        return evaluate(expr.item, record) is not True
    if isinstance(expr, Negate):
        item = evaluate(expr.item, record)
        return -item if kind(item) == "number" else None
    if isinstance(expr, Arithmetic):
        return computed(expr.op, evaluate(expr.left, record), evaluate(expr.right, record))
    return called(expr, [evaluate(argument, record) for argument in expr.arguments])


def computed(op: str, a: Any, b: Any) -> Any:
    """Arithmetic on small integers and exact binary fractions, which is all that the tests give it."""
    if kind(a) != "number" or kind(b) != "number" or (b == 0 and op in ("div", "mod")):
        return None
    x, y = Fraction(a), Fraction(b)
    exact = {
        "add": lambda: x + y,
        "sub": lambda: x - y,
        "mul": lambda: x * y,
        "div": lambda: x / y,
        "mod": lambda: x - y * math.trunc(x / y),
    }[op]()
    return int(exact) if exact.denominator == 1 else float(exact)


def called(expr: Call, arguments: list[Any]) -> Any:
    """A function; those on dates read the text's own digits."""
    name, value = expr.function, arguments[0]
    if name in ("round", "floor", "ceiling"):
        if kind(value) != "number":
            return None
        exact = Fraction(value)
        half = Fraction(1, 2) if exact >= 0 else Fraction(-1, 2)
        return {"round": math.trunc(exact + half), "floor": math.floor(exact), "ceiling": math.ceil(exact)}[
            name
        ]
    if any(kind(argument) != "text" for argument in arguments):
        return False if name in ("contains", "startswith", "endswith") else None
    if name in ("year", "month", "day", "hour", "minute", "second"):
        day, _, clock = value.partition("T") if "-" in value else ("", "", value)
        parts = {"year": day[0:4], "month": day[5:7], "day": day[8:10]}
        parts |= {"hour": clock[0:2], "minute": clock[3:5], "second": clock[6:8]}
        return int(parts[name]) if parts[name] else None
    other = arguments[-1]
    return {
        "lower": value.lower,
        "upper": value.upper,
        "length": lambda: sum(1 for _ in value),
        "trim": value.strip,
        "concat": lambda: f"{value}{other}",
        "contains": lambda: any(value[i : i + len(other)] == other for i in range(len(value) + 1)),
        "startswith": lambda: value[: len(other)] == other,
        "endswith": lambda: len(other) <= len(value) and value[len(value) - len(other) :] == other,
    }[name]()


def select(query: Query, records: list[Record]) -> list[Record]:
    """The records of a query, in its order."""

    def order(a: Record, b: Record) -> int:
        for key in query.order:
            x, y = evaluate(key.by, a), evaluate(key.by, b)
            rank = KINDS.index(kind(x)) - KINDS.index(kind(y)) or compared(x, y) or 0
            if rank:
                return -rank if key.descending else rank
        return compared(a["id"], b["id"]) or 0

    found = [record for record in records if query.where is None or evaluate(query.where, record) is True]
    found.sort(key=cmp_to_key(order))
    found = found[query.skip :]
    return found if query.take is None else found[: query.take]
