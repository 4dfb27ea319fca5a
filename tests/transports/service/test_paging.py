"""Pages that go on behind a token: one listing, whatever comes and goes between them."""

import json
import random
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidesync import predicate
from tidesync.contracts.store import Store
from tidesync.query import And, Call, Compare, Field, Order, Query, Value
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.service.paging import TOKEN_LIMIT, PageTokenError, after, token
from tidesync.values import ColumnType

T = ColumnType
TABLE = TableSchema(
    "t",
    (
        Column("text", T.STRING), Column("number", T.FLOAT), Column("money", T.DECIMAL), Column("done", T.BOOLEAN),
        Column("due", T.DATETIME), Column("_deleted", T.BOOLEAN),
    ),
)  # fmt: skip
FIELDS = [Field(column.name, column.type) for column in TABLE.columns] + [
    Field("any"), Field("id", T.STRING), Field("updated_at", T.DATETIME), Field("version", T.STRING),
]  # fmt: skip
TEXT, ANY, MONEY, ID, UPDATED = (
    next(f for f in FIELDS if f.name == n) for n in ("text", "any", "money", "id", "updated_at")
)
MOMENTS = [f"2026-11-20T03:45:0{second}.507000Z" for second in range(4)]
VALUES: list[Any] = [
    None, False, True, -1, 0, 1, 1.0, 0.5, -0.0, 2**53 + 1, 2.0**53, 1e300, "", "a", "A", "ab", "b", "%", "é", "1.50",
    "1.5", "2", "\uffff", "\U0001f600", "\x00", [], [1], {"a": 1},
]  # fmt: skip
ROWS = st.fixed_dictionaries(
    {"_deleted": st.booleans(), "updated_at": st.sampled_from(MOMENTS), "version": st.sampled_from("vwx")},
    optional={
        **{name: st.sampled_from(VALUES) for name in ("text", "number", "done", "any")},
        "money": st.sampled_from([None, "1.50", "1.5", "2", "-3", "10", 7, 0.5, "junk", True, []]),
        "due": st.none() | st.sampled_from(MOMENTS),
    },
)  # fmt: skip
TABLES = st.lists(ROWS, max_size=14).map(
    lambda rows: [{"id": f"r{place:02}", **row} for place, row in enumerate(rows)]
)
ORDERS = st.lists(st.builds(Order, st.sampled_from(FIELDS), st.booleans()), max_size=4)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """A store of each kind that all examples share."""
    stores: list[Store] = [
        MemoryStore(),
        SQLiteStore(tmp_path_factory.mktemp("pages") / "x.db", synchronous="normal"),
    ]
    for store in stores:
        store.open([TABLE])
    yield stores
    for store in stores:
        store.close()


def fill(stores: list[Store], rows: list[Record]) -> None:
    for store in stores:
        with store.transaction(write=True) as transaction:
            transaction.delete_where(Query("t"))
            transaction.put("t", rows)


def page(stores: list[Store], rows: list[Record], query: Query) -> list[Record]:
    """The page, the same of the predicate and of both stores."""
    wanted = list(predicate.select(query, rows))
    for store in stores:
        with store.transaction(write=False) as transaction:
            assert [row["id"] for row in wanted] == [row["id"] for row in transaction.select(query)]
    return wanted


def told(order: list[Order], row: Record) -> str:
    found = token(order, row)
    assert found is not None
    return found


KINDS: list[Record] = [
    {
        "id": f"r{place:02}",
        "_deleted": False,
        "updated_at": MOMENTS[0],
        "text": value,
        "any": value,
        "money": value,
    }
    for place, value in enumerate([None, True, 1, "2", [], {"a": 1}] * 2)
]


@given(rows=TABLES, order=ORDERS, size=st.integers(1, 4))
@example(rows=KINDS, order=[Order(ANY)], size=1)
@example(rows=KINDS, order=[Order(TEXT, True)], size=1)
@example(rows=KINDS, order=[Order(MONEY), Order(ANY, True)], size=1)
def test_pages_are_one_listing(
    stores: list[Store], rows: list[Record], order: list[Order], size: int
) -> None:
    """Page by page comes what one sorted listing gives: nothing twice, nothing left out. [N06] [O06]"""
    fill(stores, rows)
    whole = [row["id"] for row in predicate.select(Query("t", order=tuple(order)), rows)]
    seen: list[Any] = []
    behind = None
    while found := page(stores, rows, Query("t", behind, tuple(order), take=size)):
        assert not {row["id"] for row in found} & set(seen)
        seen += [row["id"] for row in found]
        behind = after(order, told(order, found[-1]))
    assert whole == seen


@given(rows=TABLES, order=ORDERS, size=st.integers(1, 3), chance=st.randoms(use_true_random=False))
def test_what_comes_and_goes_moves_nothing_else(
    stores: list[Store], rows: list[Record], order: list[Order], size: int, chance: random.Random
) -> None:
    """Rows that stay are seen once, in order, while others come and go, the last one of a page too. [O06]"""
    half = len(rows) // 2
    staying, coming = rows[:half], rows[half:]
    present, seen = list(rows), []
    behind = None
    while True:
        fill(stores, present)
        found = page(stores, present, Query("t", behind, tuple(order), take=size))
        if not found:
            break
        assert not {row["id"] for row in found} & set(seen)
        seen += [row["id"] for row in found]
        behind = after(order, told(order, found[-1]))
        present = staying + [row for row in coming if chance.random() < 0.5]
    kept = {row["id"] for row in staying}
    whole = [row["id"] for row in predicate.select(Query("t", order=tuple(order)), staying)]
    assert whole == [id for id in seen if id in kept]


@given(row=ROWS, order=ORDERS, id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255))
def test_a_token_fits_an_address(row: Record, order: list[Order], id: str) -> None:
    """A token is letters, digits, - and _, and names a row of any id."""
    row = {**row, "id": id}
    text = told(order, row)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert text.isascii()
    rows = [row, {**row, "id": f"{id}\U0010ffff"}]
    behind = predicate.matcher(after(order, text))
    last = next((key.descending for key in order if key.by == ID), False)
    assert [False, not last] == [behind(row) for row in rows]


def test_what_no_token_can_name() -> None:
    """Where a row cannot be named in an address, or the order is not by columns, there is no token."""
    row: Record = {"id": "a", "text": "x" * TOKEN_LIMIT}
    assert token([Order(TEXT)], row) is None
    assert token([Order(Call("lower", (TEXT,)))], {"id": "a", "text": "x"}) is None
    assert len(told([Order(TEXT)], {"id": "a", "text": "x" * 1400})) <= TOKEN_LIMIT
    with pytest.raises(PageTokenError):
        after([Order(Call("lower", (TEXT,)))], told([], row))


def made(*said: Any) -> str:
    """A token that says something."""
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


GOOD = made(1, "text", ["a"], "id")
WRONG: list[tuple[str, str]] = [
    ("", "damaged"), ("?", "damaged"), ("é", "no such token"), ("A" * (TOKEN_LIMIT + 1), "no such token"),
    (GOOD + "=", "damaged"), (GOOD + "\n", "damaged"), (" " + GOOD, "damaged"), (GOOD[:-1], "damaged"),
    (GOOD + "A", "damaged"), (urlsafe_b64encode(b"\xff\xfe").decode().rstrip("="), "damaged"),
    (urlsafe_b64encode(b"[" * 1400).decode().rstrip("="), "damaged"), (made(), "damaged"), (made(1), "damaged"),
    (made(2, "text", ["a"], "id"), "damaged"), (made(1, "text", "a", "id"), "damaged"),
    (made(1, "text", ["a"], ""), "damaged"), (made(1, "text", ["a"], 5), "damaged"),
    (made(1, "text", [{"a": 1}], "id"), "damaged"), (made(1, "text", [[1]], "id"), "damaged"),
    (made(1, "text", [2**63], "id"), "damaged"), (made(1, "text", [float("nan")], "id"), "cannot be used"),
    (made(1, "text", [float("inf")], "id"), "cannot be used"), (made(1, "text", ["a"], "id", 1), "damaged"),
    (urlsafe_b64encode(b'[1,"text",[1e999],"id"]').decode().rstrip("="), "damaged"),
    (urlsafe_b64encode(rb'[1,"text",["\ud800"],"id"]').decode().rstrip("="), "damaged"),
    (urlsafe_b64encode(rb'[1,"text",["a"],"\udfff"]').decode().rstrip("="), "damaged"),
    (urlsafe_b64encode(b'[1,"text",[' + b"9" * 1400 + b'],"id"]').decode().rstrip("="), "damaged"),
    (made(1, "text desc", ["a"], "id"), "another order"), (made(1, "", [], "id"), "another order"),
    (made(1, "text", [], "id"), "another order"), (made(1, "text", ["a", "b"], "id"), "another order"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_no_token(text: str, message: str) -> None:
    """Junk, the token of another order and what no row could have are refused."""
    assert after([Order(TEXT)], GOOD) == after([Order(TEXT)], told([Order(TEXT)], {"id": "id", "text": "a"}))
    with pytest.raises(PageTokenError, match=message):
        after([Order(TEXT)], text)


@pytest.mark.parametrize(
    ("field", "value"),
    [(UPDATED, None), (UPDATED, 5), (ID, None), (MONEY, "junk"), (MONEY, True), (MONEY, [])],
)
def test_values_that_no_row_has(field: Field, value: Any) -> None:
    """A value must be one that its column sorts by."""
    with pytest.raises(PageTokenError, match="damaged"):
        after([Order(field)], made(1, field.name, [value], "id"))


@given(
    st.text(max_size=40)
    | st.binary(max_size=40).map(lambda raw: urlsafe_b64encode(raw).decode().rstrip("=")),
    ORDERS,
)
@example(made(1, "any", [[[]]], "a"), [Order(ANY)])
@example(made(True, "any", [1], "a"), [Order(ANY)])
def test_any_text_is_a_token_or_one_error(text: str, order: list[Order]) -> None:
    """Nothing but a `PageTokenError` comes of a text that somebody made up."""

    def outcome(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except PageTokenError as error:
            return error

    found = outcome(lambda: after(order, text))
    if not isinstance(found, PageTokenError):
        assert predicate.matcher(found)({"id": "a"}) in (True, False)


@pytest.mark.parametrize(("descending", "op"), [(False, "ge"), (True, "le")])
def test_a_page_behind_a_timestamp_is_bounded(descending: bool, op: Any) -> None:
    """Where every row has a value, the condition is a conjunction with a plain bound, which an index can use."""
    order = [Order(UPDATED, descending)]
    behind = after(order, told(order, {"id": "a", "updated_at": MOMENTS[1]}))
    assert isinstance(behind, And)
    assert Compare(op, UPDATED, Value(MOMENTS[1], T.DATETIME)) == behind.items[0]
