"""What a query means: hand-picked tables of cases. `tests/conformance/test_oracle.py` compares it with a second one."""

import locale
from decimal import Decimal, localcontext
from itertools import product
from typing import Any

import pytest

from tidesync import predicate
from tidesync.conformance import oracle
from tidesync.errors import InvalidQuery
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
from tidesync.records import Json, Record
from tidesync.values import ColumnType

F = Field("f")
VALUES: list[Json] = [
    None, False, True, -(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1, -0.0, 0.0, 0.5, 1.0, 1.5, 5e-324,
    9007199254740992.0, 1e308, "", "A", "a", "ab", "b", "1", "%", "_", "a%b", "é", "e\u0301", "ß", "\x00",
    "\uffff", "\U00010000", "\U0001f600", [], [1], {}, {"a": 1},
]  # fmt: skip


def value_of(expr: Expr, record: Record | None = None) -> Any:
    """The value of an expression for a record."""
    return predicate.evaluator(expr)(record or {})


@pytest.mark.parametrize(
    ("a", "op", "b", "expected"),
    [
        (None, "eq", None, True), (None, "ne", None, False), (None, "le", None, False),
        (None, "lt", 1, False),
        (None, "ne", 1, True), (1, "eq", True, False), (1, "eq", 1.0, True), (0.0, "eq", -0.0, True),
        (-0.0, "lt", 0.0, False), (2**53 + 1, "gt", float(2**53), True), (2**63 - 1, "lt", 2.0**63, True),
        ("\uffff", "lt", "\U00010000", True), ("Z", "lt", "a", True), ("1", "lt", 2, False),
        (False, "lt", True, True),
        ([1], "eq", [1], False), ([1], "ne", [1], True), ({}, "ge", {}, False), ("e\u0301", "eq", "é", False),
    ],
)  # fmt: skip
def test_comparisons(a: Json, op: Any, b: Json, expected: bool) -> None:
    """The rules of predicate.py, one by one; text compares by code point, not by UTF-16 unit. [N24]"""
    assert expected is value_of(Compare(op, F, Value(b)), {"f": a})


def test_a_missing_field_is_null() -> None:
    """To a query, absent and null are one."""
    assert value_of(Compare("eq", F, Value(None)), {})
    assert value_of(In(F, (None, 1)), {})


@pytest.mark.parametrize(
    ("a", "op", "b", "expected"),
    [
        (7, "mod", 3, 1), (-7, "mod", 3, -1), (7, "mod", -3, 1), (7.5, "mod", 2, 1.5), (-7.5, "mod", 2, -1.5),
        (-(2**63), "mod", -1, 0), (7, "mod", 0, None), (7, "div", 2, 3.5), (6, "div", 2, 3.0),
        (1, "div", 0, None),
        (1, "div", 0.0, None), (2**63 - 1, "add", 1, 2.0**63), (2**62, "mul", 2, 2.0**63),
        (1e308, "mul", 10, None),
        (1, "add", None, None), (1, "add", "1", None), (True, "add", 1, None), (0.1, "add", 0.2, 0.1 + 0.2),
        (5, "sub", 7, -2), (-(2**63), "sub", 1, -(2.0**63) - 1),
    ],
)  # fmt: skip
def test_arithmetic(a: Json, op: Any, b: Json, expected: Json) -> None:
    """A remainder has the sign of its left side; what is no number, or no longer one, is null. [N04] [N20]"""
    found = value_of(Arithmetic(op, F, Value(b)), {"f": a})
    assert (type(expected), expected) == (type(found), found)


@pytest.mark.parametrize(
    ("function", "a", "expected"),
    [
        ("round", 1.5, 2.0), ("round", -1.5, -2.0), ("round", -0.09, 0.0), ("round", 0.5, 1.0),
        ("round", 2.5, 3.0),
        ("round", 0.49999999999999994, 0.0), ("round", 1e300, 1e300), ("round", 7, 7), ("floor", -0.09, -1.0),
        ("floor", -1.09, -2.0), ("floor", 1.9, 1.0), ("ceiling", -0.09, 0.0), ("ceiling", 1.09, 2.0),
        ("ceiling", 7, 7), ("round", "1.5", None), ("floor", None, None), ("ceiling", True, None),
        ("floor", 2**63 - 1, 2**63 - 1),
    ],
)  # fmt: skip
def test_rounding(function: Any, a: Json, expected: Json) -> None:
    """Halves round away from zero, for negatives too; integers stay integers. [N04] [N20]"""
    found = value_of(Call(function, (F,)), {"f": a})
    assert (type(expected), expected) == (type(found), found)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (Compare("eq", Field("d", ColumnType.DECIMAL), Value("1.5", ColumnType.DECIMAL)), True),
        (Compare("lt", Field("d", ColumnType.DECIMAL), Value("10", ColumnType.DECIMAL)), True),
        (Compare("eq", Field("d", ColumnType.DECIMAL), Value(1.5)), True),
        (Compare("eq", Field("d"), Value("1.50")), True),
        (Compare("eq", Field("d"), Value("1.5")), False),
        (In(Field("d", ColumnType.DECIMAL), ("7", "1.500")), True),
        (In(Field("d"), ("1.5",)), False),
        (Compare("gt", Negate(Field("d", ColumnType.DECIMAL)), Value("-2", ColumnType.DECIMAL)), True),
        (Compare("eq", Call("round", (Field("d", ColumnType.DECIMAL),)), Value(2)), True),
        (Compare("eq", Call("floor", (Negate(Field("d", ColumnType.DECIMAL)),)), Value(-2)), True),
        (Compare("eq", Field("junk", ColumnType.DECIMAL), Value(None)), True),
        (Compare("eq", Field("nan", ColumnType.DECIMAL), Value(None)), True),
        (
            Compare(
                "eq",
                Arithmetic("add", Field("tenth", ColumnType.DECIMAL), Field("fifth", ColumnType.DECIMAL)),
                Value("0.3", ColumnType.DECIMAL),
            ),
            True,
        ),
    ],
)
def test_decimals(expr: Expr, expected: bool) -> None:
    """The text of a DECIMAL column counts as the number it stands for; junk in it as null."""
    record: Record = {"d": "1.50", "junk": "x", "nan": "NaN", "tenth": "0.1", "fifth": "0.2"}
    assert expected is value_of(expr, record)


def test_decimals_do_not_depend_on_the_thread() -> None:
    """Another decimal context in the calling thread changes no answer. [R-N25]"""
    exact = Field("d", ColumnType.DECIMAL)
    exprs = (
        Arithmetic("add", exact, Value("1", ColumnType.DECIMAL)),
        Negate(exact),
        Call("round", (exact,)),
        Call("floor", (exact,)),
    )
    record: Record = {"d": "1234567.123456789012345678901234567890"}
    expected = [
        Decimal("1234568.123456789012345678901234567890"),
        Decimal(f"-{record['d']}"),
        1234567,
        1234567,
    ]
    with localcontext() as context:
        context.prec = 3
        found = [value_of(expr, record) for expr in exprs]
    assert [str(number) for number in expected] == [str(number) for number in found]


def test_a_huge_exponent_costs_nothing() -> None:
    """Rounding 1E+999999 does not write out its digits."""
    found = value_of(Call("floor", (Field("d", ColumnType.DECIMAL),)), {"d": "1E+999999"})
    assert Decimal("1E+999999") == found


def test_a_comma_in_the_locale_changes_nothing() -> None:
    """Decimals are read with a point, whatever the locale of the process prefers. [R-N25]"""
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):
            try:
                _ = locale.setlocale(locale.LC_NUMERIC, name)
                break
            except locale.Error:
                continue
        point, comma = ({"d": text} for text in ("1.5", "1,5"))
        exact = Compare("eq", Field("d", ColumnType.DECIMAL), Value(1.5))
        assert [True, False] == [value_of(exact, record) for record in (point, comma)]
    finally:
        _ = locale.setlocale(locale.LC_NUMERIC, before)


@pytest.mark.parametrize(
    ("function", "a", "b", "expected"),
    [
        ("contains", "50% off", "%", True), ("contains", "50 off", "%", False),
        ("startswith", "a_b", "a_", True),
        ("startswith", "aXb", "a_", False), ("endswith", "a\\", "\\", True), ("contains", "x", "", True),
        ("contains", "Milk", "milk", False), ("startswith", "a\x00b", "a\x00", True),
        ("endswith", None, "a", False),
        ("contains", 5, "5", False), ("contains", "5", 5, False), ("concat", "a", "b", "ab"),
        ("concat", "a", None, None),
        ("contains", ["a"], "a", False),
    ],
)  # fmt: skip
def test_functions_of_two_texts(function: Any, a: Json, b: Json, expected: Json) -> None:
    """Case counts, every character means itself, and what is no text contains nothing. [N08] [R-N27]"""
    assert expected == value_of(Call(function, (F, Value(b))), {"f": a})


@pytest.mark.parametrize(
    ("function", "a", "expected"),
    [
        ("lower", "ÀÉ", "àé"), ("upper", "straße", "STRASSE"), ("length", "\U0001f600e\u0301", 3),
        ("length", "\x00", 1),
        ("trim", "\u3000 a b\t\n", "a b"), ("lower", 5, None), ("length", [1], None), ("trim", None, None),
    ],
)  # fmt: skip
def test_functions_of_a_text(function: Any, a: Json, expected: Json) -> None:
    """Letters by Unicode, lengths by code point. [N08]"""
    assert expected == value_of(Call(function, (F,)), {"f": a})


MOMENT, DAY, CLOCK = "1969-07-20T20:17:40.000001Z", "1969-07-20", "20:17:40.000001"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MOMENT, [1969, 7, 20, 20, 17, 40]), (DAY, [1969, 7, 20, None, None, None]),
        (CLOCK, [None, None, None, 20, 17, 40]), ("soon", [None] * 6), ("", [None] * 6), (5, [None] * 6),
        (None, [None] * 6),
    ],
)  # fmt: skip
def test_parts_of_dates(text: Json, expected: list[int | None]) -> None:
    """Parts of instants, days and times, before 1970 too; null where there is no such part. [N02] [N08]"""
    parts: list[Any] = ["year", "month", "day", "hour", "minute", "second"]
    assert expected == [value_of(Call(part, (F,)), {"f": text}) for part in parts]


@pytest.mark.parametrize("a", [None, False, True, 1, "true", [True]])
def test_only_true_holds(a: Json) -> None:
    """Two-valued: a condition that is null, or not a boolean, does not hold, and its negation does. [N01]"""
    assert (a is True) is predicate.matcher(F)({"f": a})
    assert (a is not True) is predicate.matcher(Not(F))({"f": a})
    assert (a is True) is predicate.matcher(And((F, F)))({"f": a})
    assert (a is True) is predicate.matcher(Or((F, Value(False))))({"f": a})


def test_empty_conjunctions() -> None:
    """All of nothing holds, one of nothing does not; a value is in no empty list. [N16]"""
    assert [True, False, False] == [value_of(expr) for expr in (And(()), Or(()), In(F, ()))]


def test_in() -> None:
    """Membership is equality with one of the values; a structure is in nothing. [N16]"""
    wanted = In(F, (1, "a", None, True, [2]))
    hits = [value for value in VALUES if value_of(wanted, {"f": value})]
    assert [None, True, 1, 1.0, "a"] == hits


def test_order_of_kinds() -> None:
    """Nulls first, then booleans, numbers, texts by code point, structures; ties by id. [N06]"""
    rows: list[Record] = [{"id": f"{index:02}", "f": value} for index, value in enumerate(VALUES)]
    found = list(predicate.select(Query("t", order=(Order(F),)), rows[::-1]))
    assert oracle.select(Query("t", order=(Order(F),)), rows) == found
    assert [None, False, True, -(2**63)] == [row["f"] for row in found[:4]]
    backwards = list(predicate.select(Query("t", order=(Order(F, descending=True),)), rows))
    assert oracle.select(Query("t", order=(Order(F, descending=True),)), rows) == backwards


@pytest.mark.parametrize("descending", [False, True])
def test_ties_break_on_id(descending: bool) -> None:
    """Equal keys fall back on the id, ascending in both directions. [N06]"""
    rows: list[Record] = [{"id": id, "f": 1} for id in "cab"]
    found = predicate.select(Query("t", order=(Order(F, descending),)), rows)
    assert ["a", "b", "c"] == [row["id"] for row in found]


@pytest.mark.parametrize(("skip", "take"), list(product(range(4), [None, 0, 1, 2, 3, 2**63 - 1])))
@pytest.mark.parametrize("order", [(), (Order(F, descending=True),)], ids=["by id", "by field"])
def test_paging(skip: int, take: int | None, order: tuple[Order, ...]) -> None:
    """All combinations of skip and take, also of nothing; counting ignores both. [N06] [N14] [N24]"""
    rows: list[Record] = [{"id": id, "f": index} for index, id in enumerate("bca")]
    query = Query("t", order=order, skip=skip, take=take)
    ids = list("acb" if order else "abc")[skip:]
    assert (ids if take is None else ids[:take]) == [row["id"] for row in predicate.select(query, rows)]
    assert 3 == predicate.count(query, rows)


@pytest.mark.parametrize(
    ("skip", "take"), [(-1, None), (0, -1), (True, None), (1.5, None), (None, None), (2**63, 0)]
)
def test_impossible_paging(skip: Any, take: Any) -> None:
    """Skip and take count records: nothing else is a number of them. [N24]"""
    with pytest.raises(InvalidQuery, match="counts records"):
        _ = Query("t", skip=skip, take=take)


def test_selected_fields() -> None:
    """The id always comes; a field that the record has not is left out. [N06] [N14]"""
    rows: list[Record] = [{"id": "1", "f": 1, "g": 2}, {"id": "2", "g": None}]
    found = list(predicate.select(Query("t", fields=("g", "f")), rows))
    assert [{"id": "1", "g": 2, "f": 1}, {"id": "2", "g": None}] == found
