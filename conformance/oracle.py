"""What a query means, said a second time: the plainest code for the words of the contract, to compare stores with.

It shares no code with `tidesync.predicate`, which is what most stores are built on; only the syntax of queries.
Slow on purpose: each record is looked at by itself, nothing is compiled, and each pair of values is compared anew.
`select`, `count` and `kept` are what the rules use; `value_of` and `compared` are there to ask about one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
from fractions import Fraction
from functools import cmp_to_key
from math import fmod, isfinite, trunc
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tidesync.query import And, Arithmetic, Call, Compare, Expr, Field, In, Negate, Not, Or, Query, Value
from tidesync.values import ColumnType

if TYPE_CHECKING:
    from tidesync.records import Record

Scalar: TypeAlias = Any
"""A value of JSON, or the Decimal that the text of a DECIMAL column stands for."""

KINDS: Final = ("null", "boolean", "number", "text", "structure")
"""The kinds of values, in the order in which they are sorted."""


def select(query: Query, records: Iterable[Record]) -> list[Record]:
    """The records of a query, in its order, each with the fields that are asked for."""
    return [_part(record, query.fields) for record in _found(query, records)]


def count(query: Query, records: Iterable[Record]) -> int:
    """How many records match, whatever skip and take say."""
    return sum(holds(query.where, record) for record in records)


def kept(query: Query, records: Iterable[Record]) -> list[Record]:
    """The records that `delete_where` leaves, by id."""
    everything = list(records)
    gone = [record["id"] for record in _found(query, everything)]
    return select(Query(query.table), [record for record in everything if record["id"] not in gone])


def holds(where: Expr | None, record: Record) -> bool:
    """Whether a record matches: only what is true holds."""
    return where is None or value_of(where, record) is True


def _found(query: Query, records: Iterable[Record]) -> list[Record]:
    def order(a: Record, b: Record) -> int:
        for key in query.order:
            found = _sorted_apart(value_of(key.by, a), value_of(key.by, b))
            if found:
                return -found if key.descending else found
        return _sorted_apart(a["id"], b["id"])

    found = sorted((record for record in records if holds(query.where, record)), key=cmp_to_key(order))
    after = found[query.skip :]
    return after if query.take is None else after[: query.take]


def _part(record: Record, fields: tuple[str, ...] | None) -> Record:
    return {name: value for name, value in record.items() if fields is None or name in ("id", *fields)}


# -- comparing ------------------------------------------------------------------------------------------


def kind(value: Scalar) -> str:
    """The kind of a value; true and false are no numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    return "text" if isinstance(value, str) else "structure"


def compared(a: Scalar, b: Scalar) -> int | None:
    """-1, 0 or 1 for two values of one kind; None for two kinds, and for structures, which equal nothing.

    Numbers compare by what they are exactly, whether they are written as integers, floats or decimals, and text by
    code point, as Python does.
    """
    if kind(a) != kind(b) or kind(a) == "structure":
        return None
    if kind(a) == "null":
        return 0
    if kind(a) == "number":
        a, b = Decimal(a), Decimal(b)
    return -1 if a < b else 1 if a > b else 0


def _compare(op: str, a: Scalar, b: Scalar) -> bool:
    found = compared(a, b)
    if op == "eq":
        return found == 0
    if op == "ne":
        return found != 0
    if found is None or a is None:
        return False  # null, or another kind, is neither less nor greater
    return {"lt": found < 0, "le": found <= 0, "gt": found > 0, "ge": found >= 0}[op]


def _sorted_apart(a: Scalar, b: Scalar) -> int:
    if kind(a) != kind(b):
        return KINDS.index(kind(a)) - KINDS.index(kind(b))
    return compared(a, b) or 0


# -- computing ------------------------------------------------------------------------------------------


def value_of(expr: Expr, record: Record) -> Scalar:
    """The value that an expression has for a record; a field that is missing is null."""
    match expr:
        case Field(name, type):
            return _read(type, record.get(name))
        case Value(value, type):
            return _read(type, value)
        case Compare(op, left, right):
            return _compare(op, value_of(left, record), value_of(right, record))
        case In(item, values):
            type = item.type if isinstance(item, Field | Value) else ColumnType.ANY
            found = value_of(item, record)
            return any(compared(found, _read(type, value)) == 0 for value in values)
        case And(items):
            return all(value_of(item, record) is True for item in items)
        case Or(items):
            return any(value_of(item, record) is True for item in items)
        case Not(item):
            return value_of(item, record) is not True
        case Arithmetic(op, left, right):
            return _computed(op, value_of(left, record), value_of(right, record))
        case Negate(item):
            found = value_of(item, record)
            if isinstance(found, Decimal):
                return found.copy_negate()
            return _in_bounds(-found) if kind(found) == "number" else None
        case Call(function, arguments):
            return _called(function, [value_of(argument, record) for argument in arguments])


def _read(type: ColumnType, value: Scalar) -> Scalar:
    """A DECIMAL's text is the number that it stands for, and null if it stands for none."""
    if type is not ColumnType.DECIMAL:
        return value
    if kind(value) == "number":
        return value
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _in_bounds(value: Scalar) -> Scalar:
    """Integers have 64 bits and become floats beyond; what is not finite is null."""
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value)
    return value if isfinite(value) else None


_FIFTY_DIGITS: Final = Context(
    prec=50, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)


def _computed(op: str, a: Scalar, b: Scalar) -> Scalar:
    if kind(a) != "number" or kind(b) != "number":
        return None
    if b == 0 and op in ("div", "mod"):
        return None
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return _in_decimals(op, Decimal(a), Decimal(b))
    if isinstance(a, int) and isinstance(b, int):
        return _in_bounds(_in_integers(op, a, b))
    return _in_bounds(_in_floats(op, float(a), float(b)))


def _in_integers(op: str, a: int, b: int) -> int | float:
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            return float(Fraction(a, b))
        case _:
            return a - b * trunc(Fraction(a, b))  # so that a remainder has the sign of the left side


def _in_floats(op: str, a: float, b: float) -> float:
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            return a / b
        case _:
            return fmod(a, b)


def _in_decimals(op: str, a: Decimal, b: Decimal) -> Decimal | None:
    try:
        match op:
            case "add":
                return _FIFTY_DIGITS.add(a, b)
            case "sub":
                return _FIFTY_DIGITS.subtract(a, b)
            case "mul":
                return _FIFTY_DIGITS.multiply(a, b)
            case "div":
                return _FIFTY_DIGITS.divide(a, b)
            case _:
                return _FIFTY_DIGITS.remainder(a, b)
    except ArithmeticError:
        return None


# -- functions ------------------------------------------------------------------------------------------

_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.\d{6})?"
_DATE_DATETIME_TIME: Final = (_DAY, f"{_DAY}T{_CLOCK}Z?", _CLOCK)


def _called(function: str, arguments: list[Scalar]) -> Scalar:
    match function:
        case "round":  # halves away from zero
            return _whole(arguments[0], ROUND_HALF_UP)
        case "floor":
            return _whole(arguments[0], ROUND_FLOOR)
        case "ceiling":
            return _whole(arguments[0], ROUND_CEILING)
        case "contains" | "startswith" | "endswith":
            text, part = arguments
            return kind(text) == kind(part) == "text" and _has(function, text, part)
        case _:
            if any(kind(argument) != "text" for argument in arguments):
                return None
            return _of_text(function, *arguments)


def _whole(value: Scalar, rounding: str) -> Scalar:
    """The whole number, of the same type: a float stays one."""
    if kind(value) != "number":
        return None
    return type(value)(Decimal(value).to_integral_value(rounding))


def _has(function: str, text: str, part: str) -> bool:
    match function:
        case "startswith":
            return text[: len(part)] == part
        case "endswith":
            return text[::-1][: len(part)] == part[::-1]
        case _:
            return any(text[start : start + len(part)] == part for start in range(len(text) + 1))


def _of_text(function: str, text: str, other: str = "") -> Scalar:
    match function:
        case "lower":
            return text.lower()
        case "upper":
            return text.upper()
        case "trim":
            return text.strip()
        case "length":
            return len(text)
        case "concat":
            return text + other
        case _:
            return _part_of_date(function, text)


def _part_of_date(name: str, text: str) -> int | None:
    """The digits of a part, as they are written: in UTC, and no calendar is looked at."""
    for shape in _DATE_DATETIME_TIME:
        found = re.fullmatch(shape, text, re.ASCII)
        if found is not None:
            digits = found.groupdict().get(name)
            return None if digits is None else int(digits)
    return None
