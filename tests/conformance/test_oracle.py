"""The oracle of the suite and `tidesync.predicate` say the same, and neither was written from the other."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidesync import predicate
from tidesync.conformance import oracle
from tidesync.conformance.expect import equal
from tidesync.conformance.strategies import FLOATS, INTEGERS, TEXTS, expressions, queries, records, rows
from tidesync.query import Call, Compare, Expr, Field, Query, Value
from tidesync.records import Json, Record
from tidesync.values import ColumnType

F = Field("f")
VALUES: tuple[Json, ...] = (None, True, False, *INTEGERS, *FLOATS, *TEXTS, [], [1], {}, {"a": 1})


def same(expected: Any, actual: Any) -> bool:
    """Equal as a query sees it: nobody can tell 1 from 1.0 in it, nor 0.0 from -0.0."""
    if oracle.kind(expected) == "structure":
        return oracle.kind(actual) == "structure"
    return oracle.compared(expected, actual) == 0


@given(records=rows(), query=queries())
def test_they_select_the_same(records: list[Record], query: Query) -> None:
    """The same records in the same order, and the same counts, for any records and any query. [N05] [N24]"""
    equal(oracle.select(query, records), list(predicate.select(query, records)))
    assert oracle.count(query, records) == predicate.count(query, records)


@given(record=records(), expr=expressions())
@example(record={"id": "a", "any": "1E+999999"}, expr=Call("floor", (Field("any", ColumnType.DECIMAL),)))
@example(record={"id": "a", "any": "1E+999999999"}, expr=Field("any", ColumnType.DECIMAL))
def test_they_compute_the_same(record: Record, expr: Expr) -> None:
    """Whatever an expression is made of, its value is the same."""
    expected, actual = oracle.value_of(expr, record), predicate.evaluator(expr)(record)
    assert same(expected, actual), (expected, actual)


@pytest.mark.parametrize("op", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_they_compare_the_same(op: Any) -> None:
    """Every awkward value with every other."""
    for a in VALUES:
        for b in VALUES:
            expr = Compare(op, F, Value(b))
            expected = oracle.value_of(expr, {"f": a})
            assert expected is predicate.evaluator(expr)({"f": a}), (a, op, b)


PIECES = (
    "2026-11-20",
    "0000-00-00",
    "T",
    "03:45:05",
    "99:99:99",
    ".507000",
    ".5",
    "Z",
    "",
    " ",
    "+01:00",
    "٣",
)


@given(text=st.lists(st.sampled_from(PIECES), max_size=5).map("".join) | st.text(max_size=3))
@example("2026-11-20T")
@example("T03:45:05")
@example("03:45:05Z")
@example("T")
@example("2026-11-20\n")
def test_they_read_the_same_dates(text: str) -> None:
    """A part of a date is its digits where the text is a date, a time or a datetime as they are stored, else null."""
    for part in ("year", "month", "day", "hour", "minute", "second"):
        expr: Expr = Call(part, (F,))  # type: ignore[arg-type]
        expected = oracle.value_of(expr, {"f": text})
        assert expected == predicate.evaluator(expr)({"f": text}), (part, text)


@given(records=rows(), query=queries())
def test_what_is_kept_is_what_was_not_selected(records: list[Record], query: Query) -> None:
    """`kept` leaves the records that `select` does not give, by id."""
    gone = {record["id"] for record in oracle.select(query, records)}
    left = sorted(
        (record for record in records if record["id"] not in gone), key=lambda record: str(record["id"])
    )
    equal(left, oracle.kept(query, records))
