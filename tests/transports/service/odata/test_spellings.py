"""Filters on moments in fields that nobody declared, which each client spells in its own way."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import eq, ge, gt, le, lt, ne
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidesync.predicate import matcher
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import parse_filter

OPEN = TableSchema("open")
OPERATORS: dict[str, Callable[[datetime, datetime], bool]] = {
    "eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge,
}  # fmt: skip
BEGAN = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
# Close together, with decimals that are cut short and such that are not.
MOMENTS = st.sampled_from(
    [0, 1, 100_000, 120_000, 123_000, 123_400, 123_456, 130_000, 999_999, 1_000_000]
).map(lambda microseconds: BEGAN + timedelta(microseconds=microseconds))
DIALECTS: dict[Literal["2.0", "3.0"], Callable[[str], str]] = {
    "2.0": "datetimeoffset'{}'".format,
    "3.0": "cast({},Edm.DateTimeOffset)".format,
}


def spelt(moment: datetime, decimals: int) -> str:
    """The moment with so many decimals, more where it needs them."""
    second, _, fraction = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").partition(".")
    shown = fraction.rstrip("0").ljust(decimals, "0")
    return f"{second}.{shown}Z" if shown else f"{second}Z"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("op", OPERATORS)
@given(kept=MOMENTS, decimals=st.integers(0, 7), asked=MOMENTS, asked_decimals=st.integers(0, 7))
@example(kept=BEGAN + timedelta(microseconds=123_456), decimals=6, asked=BEGAN, asked_decimals=3)
def test_a_moment_is_compared_however_it_is_spelt(
    op: str,
    dialect: Literal["2.0", "3.0"],
    kept: datetime,
    decimals: int,
    asked: datetime,
    asked_decimals: int,
) -> None:
    """In both orders of the operands."""
    row: Record = {"id": "a", "due": spelt(kept, decimals)}
    literal = DIALECTS[dialect](spelt(asked, asked_decimals))
    turned = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}.get(op, op)
    for text in (f"due {op} {literal}", f"{literal} {turned} due"):
        read = parse_filter(text, OPEN, dialect=dialect, closed=False, limits=Limits())
        assert OPERATORS[op](kept, asked) == matcher(read)(row), text


@pytest.mark.parametrize("op", OPERATORS)
def test_what_is_no_moment(op: str) -> None:
    """Null and nothing differ from every moment, and are neither before nor after one."""
    read = parse_filter(
        f"due {op} {DIALECTS['2.0'](spelt(BEGAN, 3))}", OPEN, dialect="2.0", closed=False, limits=Limits()
    )
    rows: list[Record] = [{"id": "a", "due": None}, {"id": "b"}]
    assert [op == "ne"] * 2 == list(map(matcher(read), rows))


def test_one_of_several(tmp_path: str) -> None:
    """`in` finds every spelling too; a store finds what the predicate does."""
    rows: list[Record] = [{"id": str(n), "due": spelt(BEGAN, n)} for n in range(8)]
    rows.append({"id": "other", "due": spelt(BEGAN + timedelta(microseconds=1), 6)})
    store = SQLiteStore(f"{tmp_path}/open.db", synchronous="normal")
    store.open([OPEN])
    with store.transaction(write=True) as transaction:
        transaction.put("open", rows)
    for text in ("due in ({0})", "due eq {0}", "not(due ne {0})", "due le {0}", "due lt {0} or due in ({0})"):
        asked = text.format(DIALECTS["3.0"](spelt(BEGAN, 3)))
        read = parse_filter(asked, OPEN, dialect="3.0", closed=False, limits=Limits())
        with store.transaction(write=False) as transaction:
            found = [row["id"] for row in transaction.select(Query("open", read))]
        assert [str(n) for n in range(8)] == found, asked
    store.close()
