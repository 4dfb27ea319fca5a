"""Broken stores: what is computed in a query."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.meaning import Meaning
from tidesync.query import And, Compare, Not, Or, Order, Value
from tidesync.records import Record


@broken("test_decimals_compare_by_number")
class DecimalsAreText(Meaning):
    """Decimals are compared as the text that they are kept as."""

    def equal(self, a: Any, b: Any) -> bool:
        if type(a) is type(b) is Decimal:
            return str(a) == str(b)
        return super().equal(a, b)


@broken("test_decimals_compare_by_number")
class DecimalsAreFloats(Meaning):
    """Decimals are made floats to be compared."""

    def decimal(self, value: Any) -> Any:
        found = super().decimal(value)
        return Decimal(float(found)) if type(found) is Decimal else found


@broken("test_decimals_sort_by_number")
class DecimalsSortAsText(Meaning):
    """A list by price is sorted by the text of the price."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        return super().ordered(records, tuple(self.as_text(key) for key in order))

    def as_text(self, key: Order) -> Order:
        by: Any = key.by
        return Order(type(by)(by.name), key.descending) if hasattr(by, "name") else key


@broken("test_datetimes_compare")
class SecondsOnly(Meaning):
    """Datetimes are compared to the second."""

    def less(self, a: Any, b: Any) -> bool:
        return super().less(
            *(each[:19] if type(each) is str and each.endswith("Z") else each for each in (a, b))
        )


@broken("test_datetimes_compare")
class TimeBeganIn1970(Meaning):
    """What was before 1970 is all the same moment."""

    def less(self, a: Any, b: Any) -> bool:
        return super().less(a, b) and not (type(b) is str and b.endswith("Z") and b < "1970")


@broken("test_parts_of_dates")
class AnyTextHasAYear(Meaning):
    """`year` is the first four characters, whatever the text is."""

    def call(self, function: str, *arguments: Any) -> Any:
        (value, *_) = arguments
        if function == "year" and type(value) is str and value[:4].isdigit():
            return int(value[:4])
        return super().call(function, *arguments)


@broken("test_parts_of_dates")
class TimesHaveNoHour(Meaning):
    """`hour` is looked for behind a T, and a time of day has none."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "hour" and type(arguments[0]) is str and "T" not in arguments[0]:
            return None
        return super().call(function, *arguments)


@broken("test_arithmetic")
class DivisionIsWhole(Meaning):
    """The quotient of two integers is an integer, as in SQL."""

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        if op == "div" and type(a) is type(b) is int and b:
            return int(a / b)
        return super().arithmetic(op, a, b)


@broken("test_arithmetic")
class TrueIsAddedAsOne(Meaning):
    """Booleans are added as if they were numbers."""

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        return super().arithmetic(op, *(int(each) if type(each) is bool else each for each in (a, b)))


@broken("test_division_by_zero_is_null")
class DivisionByZeroIsInfinite(Meaning):
    """Ten divided by zero is infinite, and greater than anything."""

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        if op == "div" and b == 0 and type(a) in (int, float) and type(b) in (int, float) and a > 0:
            return math.inf
        return super().arithmetic(op, a, b)


@broken("test_remainders_have_the_sign_of_the_left")
class RemaindersArePythons(Meaning):
    """`mod` is Python's `%`, whose result has the sign of the right side."""

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        if op == "mod" and b and {type(a), type(b)} <= {int, float}:
            return a % b
        return super().arithmetic(op, a, b)


@broken("test_rounding")
class HalvesGoToEven(Meaning):
    """`round` is Python's, which goes to the even neighbour."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "round" and type(arguments[0]) is float:
            return float(round(arguments[0]))
        return super().call(function, *arguments)


@broken("test_rounding")
class FloorsAreCut(Meaning):
    """`floor` cuts what is behind the point: -1.5 becomes -1."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "floor" and type(arguments[0]) is float:
            return float(int(arguments[0]))
        return super().call(function, *arguments)


@broken("test_functions_of_text")
class LowerKnowsAscii(Meaning):
    """`lower` knows the letters of ASCII only, as SQLite's."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "lower" and type(arguments[0]) is str:
            return "".join(letter.lower() if letter.isascii() else letter for letter in arguments[0])
        return super().call(function, *arguments)


@broken("test_functions_of_text")
class LengthInBytes(Meaning):
    """`length` counts bytes."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "length" and type(arguments[0]) is str:
            return len(arguments[0].encode())
        return super().call(function, *arguments)


@broken("test_any_query_selects_what_it_means")
class NoParentheses(Meaning):
    """Conditions are joined without parentheses: `not (a and b)` becomes `not a and b`."""

    def value(self, expr: Any, record: Record) -> Any:
        if isinstance(expr, Not) and isinstance(expr.item, And | Or) and expr.item.items:
            first, *rest = expr.item.items
            expr = type(expr.item)((Not(first), *rest))
        return super().value(expr, record)


@broken("test_the_schema_does_not_change_the_meaning")
class ConstantsBelongOnTheRight(Meaning):
    """A constant on the left of a comparison changes places with the field, and the comparison stays as it is."""

    def value(self, expr: Any, record: Record) -> Any:
        if isinstance(expr, Compare) and isinstance(expr.left, Value):
            expr = Compare(expr.op, expr.right, expr.left)
        return super().value(expr, record)
