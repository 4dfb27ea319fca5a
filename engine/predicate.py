"""What a query means: the oracle for every store, and the filter where a remote cannot be trusted with one.

A value is of one *kind*: null, boolean, number, text, or structure (list or object).

* Two values are equal if they are of one kind and equal: null equals null, 1 equals 1.0, true is not 1. A
  structure equals nothing.
* Ordering comparisons hold only between two booleans, two numbers or two texts; text compares by code point.
* A column of type DECIMAL counts as a number: its text is read exactly.
* A predicate holds only if it is true: null and everything else do not.
* Functions and arithmetic give null for what they cannot take (text functions that answer yes or no: false).
* Parts of dates, times and datetimes are the digits of their canonical text, whose fraction and Z may be missing.
* Sorting: null < boolean < number < text < structure; structures are equal keys, and equal keys fall back on id.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from typing import Any, Final, TypeAlias

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
from tidesync.records import INT_MAX, INT_MIN, Record
from tidesync.values import ColumnType

Scalar: TypeAlias = Any
"""A JSON value, or a Decimal while it is being computed with."""
Evaluate: TypeAlias = Callable[[Record], Scalar]

NULL, BOOLEAN, NUMBER, TEXT, STRUCTURE = range(5)
_KINDS: Final[dict[Any, int]] = {
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    Decimal: NUMBER,
    str: TEXT,
}


def kind_of(value: Scalar) -> int:
    """The kind of a value, as a rank for sorting."""
    return _KINDS.get(type(value), STRUCTURE)


def equal(a: Scalar, b: Scalar) -> bool:
    """Whether two values are equal to a query."""
    kind = kind_of(a)
    return kind == kind_of(b) and kind != STRUCTURE and bool(a == b)


def less(a: Scalar, b: Scalar) -> bool:
    """Whether `a < b` holds."""
    kind = kind_of(a)
    return kind == kind_of(b) and NULL < kind < STRUCTURE and bool(a < b)


COMPARISONS: Final[dict[str, Callable[[Scalar, Scalar], bool]]] = {
    "eq": equal,
    "ne": lambda a, b: not equal(a, b),
    "lt": less,
    "gt": lambda a, b: less(b, a),
    "le": lambda a, b: less(a, b) or (a is not None and equal(a, b)),
    "ge": lambda a, b: less(b, a) or (a is not None and equal(a, b)),
}
"""Comparisons of values, by name. A store may call them from its own language."""


def _number(value: Scalar) -> Scalar:
    """A result as a query may see it: 64-bit integers (floats beyond), finite floats, decimals; else null."""
    if type(value) is int and not INT_MIN <= value <= INT_MAX:
        value = float(value)
    if type(value) is float and not math.isfinite(value):
        return None
    if type(value) is Decimal and not value.is_finite():
        return None
    return value


def _remainder(a: Scalar, b: Scalar) -> Scalar:
    if type(a) is int and type(b) is int:
        return a - b * (abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))
    return math.fmod(a, b)


_ARITHMETIC: Final[dict[str, Callable[[Scalar, Scalar], Scalar]]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "mod": _remainder,
}
_CONTEXT: Final = Context(
    prec=50, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_DECIMAL_ARITHMETIC: Final[dict[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "add": _CONTEXT.add,
    "sub": _CONTEXT.subtract,
    "mul": _CONTEXT.multiply,
    "div": _CONTEXT.divide,
    "mod": _CONTEXT.remainder,
}


def arithmetic(op: str, a: Scalar, b: Scalar) -> Scalar:
    """`a op b` on numbers; a remainder has the sign of `a`; null by zero, or where an operand is no number.

    Decimals are computed to 50 digits, whatever the thread's own decimal context says.
    """
    if kind_of(a) != NUMBER or kind_of(b) != NUMBER or (b == 0 and op in ("div", "mod")):
        return None
    if Decimal in (type(a), type(b)):
        return _decimal_arithmetic(op, Decimal(a), Decimal(b))
    try:
        return _number(_ARITHMETIC[op](a, b))
    except (OverflowError, ArithmeticError):
        return None


def _decimal_arithmetic(op: str, a: Decimal, b: Decimal) -> Scalar:
    try:
        return _number(_DECIMAL_ARITHMETIC[op](a, b))
    except ArithmeticError:
        return None


def negate(a: Scalar) -> Scalar:
    """`-a`, null where it is no number."""
    if type(a) is Decimal:
        return a.copy_negate()
    return _number(-a) if kind_of(a) == NUMBER else None


_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.\d{6})?"
_MOMENT = re.compile(rf"{_DAY}(?:T{_CLOCK}Z?)?", re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")


def _part(name: str) -> Callable[[Scalar], Scalar]:
    def part(value: Scalar) -> Scalar:
        if type(value) is not str:
            return None
        found = _MOMENT.fullmatch(value) or _TIME.fullmatch(value)
        digits = found.groupdict().get(name) if found else None
        return None if digits is None else int(digits)

    return part


def _on_text(function: Callable[..., Scalar], otherwise: Scalar = None) -> Callable[..., Scalar]:
    return lambda *arguments: function(*arguments) if all(type(a) is str for a in arguments) else otherwise


def _whole(on_float: Callable[[float], int], rounding: str) -> Callable[[Scalar], Scalar]:
    def whole(value: Scalar) -> Scalar:
        if type(value) is float:
            return float(on_float(value))
        if type(value) is Decimal:
            return value.to_integral_value(rounding)
        return value if type(value) is int else None

    return whole


def _round(value: float) -> int:
    down = math.floor(abs(value))
    size = down + 1 if abs(value) - down >= 0.5 else down
    return -size if value < 0 else size


FUNCTIONS: Final[dict[str, Callable[..., Scalar]]] = {
    "lower": _on_text(str.lower),
    "upper": _on_text(str.upper),
    "length": _on_text(len),
    "trim": _on_text(str.strip),
    "concat": _on_text(str.__add__),
    "contains": _on_text(str.__contains__, otherwise=False),
    "startswith": _on_text(str.startswith, otherwise=False),
    "endswith": _on_text(str.endswith, otherwise=False),
    "round": _whole(_round, ROUND_HALF_UP),
    "floor": _whole(math.floor, ROUND_FLOOR),
    "ceiling": _whole(math.ceil, ROUND_CEILING),
    **{name: _part(name) for name in _PARTS},
}
"""Functions on values, by name. A store may call them from its own language."""


def decimal_of(value: Scalar) -> Scalar:
    """The exact number that the text of a DECIMAL column stands for; null if it stands for none."""
    if type(value) is str:
        try:
            number = Decimal(value)
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    return value if kind_of(value) == NUMBER else None


def _decimal(expr: Expr) -> bool:
    return isinstance(expr, Field | Value) and expr.type is ColumnType.DECIMAL


def _member(item: Evaluate, values: list[Scalar]) -> Evaluate:
    wanted = {(kind, value) for value in values if (kind := kind_of(value)) != STRUCTURE}

    def member(record: Record) -> bool:
        value = item(record)
        kind = kind_of(value)
        return kind != STRUCTURE and (kind, value) in wanted

    return member


def evaluator(expr: Expr) -> Evaluate:
    """Compile an expression to a function from a record to its value."""
    match expr:
        case Field(name, type):
            if type is ColumnType.DECIMAL:
                return lambda record: decimal_of(record.get(name))
            return lambda record: record.get(name)
        case Value(value):
            constant = decimal_of(value) if _decimal(expr) else value
            return lambda _: constant
        case Compare(op, left, right):
            compare, a, b = COMPARISONS[op], evaluator(left), evaluator(right)
            return lambda record: compare(a(record), b(record))
        case In(item, values):
            return _member(evaluator(item), list(map(decimal_of, values) if _decimal(item) else values))
        case And(items):
            parts = [evaluator(item) for item in items]
            return lambda record: all(part(record) is True for part in parts)
        case Or(items):
            parts = [evaluator(item) for item in items]
            return lambda record: any(part(record) is True for part in parts)
        case Not(item):
            a = evaluator(item)
            return lambda record: a(record) is not True
        case Arithmetic(op, left, right):
            a, b = evaluator(left), evaluator(right)
            return lambda record: arithmetic(op, a(record), b(record))
        case Negate(item):
            a = evaluator(item)
            return lambda record: negate(a(record))
        case Call(function, arguments):
            call, parts = FUNCTIONS[function], [evaluator(argument) for argument in arguments]
            return lambda record: call(*[part(record) for part in parts])


def matcher(where: Expr | None) -> Callable[[Record], bool]:
    """Compile a condition to a function that says whether a record matches; None matches all."""
    if where is None:
        return lambda _: True
    value = evaluator(where)
    return lambda record: value(record) is True


def _sort_key(value: Scalar) -> tuple[int, Scalar]:
    kind = kind_of(value)
    return (kind, 0 if kind in (NULL, STRUCTURE) else value)


def ordered(records: Iterable[Record], order: tuple[Order, ...]) -> list[Record]:
    """The records sorted by the keys, ties by id."""
    result = sorted(records, key=lambda record: str(record["id"]))
    for key in reversed(order):
        value = evaluator(key.by)
        result.sort(key=lambda record: _sort_key(value(record)), reverse=key.descending)
    return result


def project(record: Record, fields: tuple[str, ...] | None) -> Record:
    """The part of a record that a query asks for; a field that the record has not is left out."""
    if fields is None:
        return record
    return {key: record[key] for key in ("id", *fields) if key in record}


def select(query: Query, records: Iterable[Record]) -> Iterator[Record]:
    """The records of the query, in its order."""
    matches = matcher(query.where)
    found = (record for record in records if matches(record))
    end = None if query.take is None else query.skip + query.take
    if not query.order and end is not None:
        rows = heapq.nsmallest(end, found, key=lambda record: str(record["id"]))
    else:
        rows = ordered(found, query.order)
    return (project(record, query.fields) for record in rows[query.skip : end])


def count(query: Query, records: Iterable[Record]) -> int:
    """How many records the query has without its skip and take."""
    matches = matcher(query.where)
    return sum(1 for record in records if matches(record))
