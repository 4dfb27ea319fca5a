"""Broken stores: what conditions hold."""

from __future__ import annotations

import re
from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.meaning import Meaning
from tidesync.query import Compare
from tidesync.records import Record

_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}


@broken("test_kinds_stay_apart")
class TrueEqualsOne(Meaning):
    """Values are compared with Python's `==`, to which True is 1."""

    def equal(self, a: Any, b: Any) -> bool:
        return bool(a == b) if not isinstance(a, list | dict) else False


@broken("test_kinds_stay_apart")
class TextOfDigitsIsANumber(Meaning):
    """The text "7" equals the number 7."""

    def equal(self, a: Any, b: Any) -> bool:
        return super().equal(a, b) or ({type(a), type(b)} == {int, str} and str(a) == str(b))


@broken("test_null_equals_null")
class NullIsUnknown(Meaning):
    """`x <> 5` does not hold where x is null, as in SQL."""

    def compare(self, op: str, a: Any, b: Any) -> bool:
        return super().compare(op, a, b) and not (op == "ne" and a is None)


@broken("test_missing_is_null")
class MissingIsNoNull(Meaning):
    """A field that a record has not is nothing that could equal null."""

    def field(self, record: Record, name: str) -> Any:
        return record.get(name, [])


@broken("test_nothing_is_less_than_null")
class NullIsTheLeast(Meaning):
    """Null is less than all else, because it is sorted first."""

    def less(self, a: Any, b: Any) -> bool:
        return super().less(a, b) or (a is None and b is not None)


@broken("test_nothing_is_less_than_null")
class NullIsAtMostNull(Meaning):
    """`x <= null` holds where x is null, because they are equal."""

    def compare(self, op: str, a: Any, b: Any) -> bool:
        return super().compare(op, a, b) or (op in ("le", "ge") and a is b is None)


@broken("test_conditions_are_two_valued")
class NotLessIsAtLeast(Meaning):
    """`not x < 5` is made into `x >= 5`."""

    def value(self, expr: Any, record: Record) -> Any:
        item = getattr(expr, "item", None)
        if isinstance(item, Compare) and item.op in _OPPOSITE:
            expr = Compare(_OPPOSITE[item.op], item.left, item.right)  # type: ignore[arg-type]
        return super().value(expr, record)


@broken("test_only_true_holds")
class TruthIsPythons(Meaning):
    """Whatever is not empty or zero is true."""

    def is_true(self, value: Any) -> bool:
        return bool(value)


@broken("test_empty_conditions")
class NoConditionHolds(Meaning):
    """A condition without parts is left out, whether its parts were to be all true or one of them."""

    def any(self, parts: Any) -> Any:
        return not parts or super().any(parts)


@broken("test_numbers_compare_exactly")
class NumbersAreFloats(Meaning):
    """Integers are made floats to be compared."""

    def equal(self, a: Any, b: Any) -> bool:
        if {type(a), type(b)} <= {int, float}:
            return float(a) == float(b)
        return super().equal(a, b)


@broken("test_texts_are_equal_by_character")
class CollationIgnoresSpaces(Meaning):
    """Spaces at the end of a text do not count, as in a CHAR column."""

    def equal(self, a: Any, b: Any) -> bool:
        return super().equal(*(each.rstrip(" ") if type(each) is str else each for each in (a, b)))


@broken("test_texts_are_equal_by_character")
class CollationIgnoresCase(Meaning):
    """`=` ignores case, as the collation of the database says."""

    def equal(self, a: Any, b: Any) -> bool:
        return super().equal(*(each.lower() if type(each) is str else each for each in (a, b)))


@broken("test_texts_compare_by_code_point")
class TextsCompareByUnit(Meaning):
    """Texts compare by units of UTF-16, as in JavaScript."""

    def less(self, a: Any, b: Any) -> bool:
        if type(a) is type(b) is str:
            return a.encode("utf-16-be") < b.encode("utf-16-be")
        return super().less(a, b)


@broken("test_wildcards_mean_themselves")
class LikeHasWildcards(Meaning):
    """`contains` is LIKE, and its text is not escaped."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "contains" and all(type(each) is str for each in arguments):
            text, part = arguments
            pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in part)
            return re.search(pattern, text, re.DOTALL) is not None
        return super().call(function, *arguments)


@broken("test_only_text_contains_text")
class LikeIgnoresCase(Meaning):
    """`startswith` is LIKE, which ignores the case of ASCII letters."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "startswith":
            arguments = tuple(
                each.lower() if type(each) is str and each.isascii() else each for each in arguments
            )
        return super().call(function, *arguments)


@broken("test_only_text_contains_text")
class NumbersContainDigits(Meaning):
    """`contains` turns numbers into text."""

    def call(self, function: str, *arguments: Any) -> Any:
        if function == "contains":
            arguments = tuple(str(each) if type(each) in (int, float) else each for each in arguments)
        return super().call(function, *arguments)


@broken("test_structures_equal_nothing")
class StructuresAreComparedAsText(Meaning):
    """Lists and objects are JSON text, and equal where their text is."""

    def equal(self, a: Any, b: Any) -> bool:
        return super().equal(a, b) or (isinstance(a, list | dict) and bool(a == b))


@broken("test_in_is_equality")
class InFindsNoNull(Meaning):
    """`IN (NULL)` holds for nothing, as in SQL."""

    def among(self, found: Any, values: list[Any]) -> bool:
        return found is not None and super().among(found, values)


@broken("test_in_is_equality")
class InIsASet(Meaning):
    """The values of `in` are a set of Python, in which 1 and True are one."""

    def among(self, found: Any, values: list[Any]) -> bool:
        return not isinstance(found, list | dict) and found in {
            value for value in values if not isinstance(value, list | dict)
        }
