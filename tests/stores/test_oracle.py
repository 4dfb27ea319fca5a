"""All stores mean what predicate.py says, on any records and queries, and give back what was put."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.stores.conftest import KEY, AnyStore
from tests.stores.strategies import INTEGERS, TABLE, TEXTS, queries, records, tables
from tidesync import predicate
from tidesync.query import And, Call, Compare, Field, In, Not, Or, Order, Query, Value
from tidesync.records import Record, same
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.values import ColumnType


@pytest.fixture(scope="module", params=("memory", "sqlite", "sqlcipher"))
def opened(request: pytest.FixtureRequest) -> Iterator[AnyStore]:
    """A store that all examples of a test share."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.db")
        store: AnyStore = MemoryStore()
        if request.param == "sqlite":
            store = SQLiteStore(path, synchronous="normal")
        elif request.param == "sqlcipher":
            store = SQLCipherStore(path, key=KEY, synchronous="normal")
        store.open([TABLE])
        yield store
        store.close()


def fill(store: AnyStore, rows: list[Record]) -> None:
    """Make these the records of the table."""
    with store.transaction(write=True) as transaction:
        transaction.delete_where(Query(TABLE.name))
        transaction.put(TABLE.name, rows)


def identical(a: object, b: object) -> bool:
    """Equality by JSON type, for lists of records."""
    return same(a, b)  # type: ignore[arg-type]


@given(rows=st.lists(records(), max_size=20))
def test_any_json_comes_back_exactly(opened: AnyStore, rows: list[Record]) -> None:
    """Every JSON value comes back bit for bit, typed column or not, and absent is not null. [M06] [M20]"""
    fill(opened, rows)
    expected = {row["id"]: row for row in rows}
    with opened.transaction(write=False) as transaction:
        actual = transaction.get(TABLE.name, [str(id) for id in expected])
        assert identical(list(expected.values()), actual)
        listed = list(transaction.select(Query(TABLE.name)))
        assert identical(sorted(expected.values(), key=lambda row: str(row["id"])), listed)


@given(rows=tables, query=queries)
def test_select_means_what_the_predicate_says(opened: AnyStore, rows: list[Record], query: Query) -> None:
    """Select gives what predicate.py selects, in its order. [N01] [N05] [N06]"""
    fill(opened, rows)
    with opened.transaction(write=False) as transaction:
        assert identical(list(predicate.select(query, rows)), list(transaction.select(query)))


@given(rows=tables, query=queries)
def test_count_means_what_the_predicate_says(opened: AnyStore, rows: list[Record], query: Query) -> None:
    """Count ignores skip and take. [N06]"""
    fill(opened, rows)
    with opened.transaction(write=False) as transaction:
        assert predicate.count(query, rows) == transaction.count(query)


@given(rows=tables, query=queries)
def test_delete_where_deletes_what_select_gives(opened: AnyStore, rows: list[Record], query: Query) -> None:
    """What delete_where deletes is what select gives, order, skip and take included. [M09]"""
    fill(opened, rows)
    gone = [row["id"] for row in predicate.select(query, rows)]
    kept = sorted((row for row in rows if row["id"] not in gone), key=lambda row: str(row["id"]))
    with opened.transaction(write=True) as transaction:
        assert len(gone) == transaction.delete_where(query)
        assert identical(kept, list(transaction.select(Query(TABLE.name))))


@given(
    rows=st.lists(st.sampled_from((*TEXTS, *INTEGERS, None, True, False, 1.0, [1])), max_size=12),
    column=st.sampled_from(("text", "number", "flag", "any", "extra", "tree", "price")),
    descending=st.booleans(),
)
@example(rows=[True, 1, 1.0, None, False, "a", [1], [0], "", -1], column="number", descending=False)
@example(rows=[True, 1, 1.0, None, False, "a", [1], [0], "", -1], column="flag", descending=True)
def test_kinds_sort_apart(opened: AnyStore, rows: list[object], column: str, descending: bool) -> None:
    """Nulls, booleans, numbers, text and structures sort in this order, in any column; ties by id."""
    things: list[Record] = [{"id": f"{99 - n}", column: value} for n, value in enumerate(rows)]  # type: ignore[dict-item]
    fill(opened, things)
    for query in (
        Query(TABLE.name, order=(Order(Field(column), descending),), take=7),
        Query(TABLE.name, Compare("ge", Field(column), Value(1)), (Order(Field(column), descending),)),
        Query(TABLE.name, Compare("lt", Field(column), Value("b")), (Order(Field(column), descending),)),
    ):
        with opened.transaction(write=False) as transaction:
            assert identical(list(predicate.select(query, things)), list(transaction.select(query)))


def test_a_long_list_of_constants(opened: AnyStore) -> None:
    """A condition may name 40,000 constants, of mixed kinds. [M05]"""
    rows: list[Record] = [{"id": f"{n}", "number": n, "flag": n % 2 == 0, "text": str(n)} for n in range(50)]
    fill(opened, rows)
    for name in ("number", "flag", "text", "id", "extra", "price"):
        for count in (40_000, 3_000, 100):
            wanted = (*range(10, 10 + count), True, "20", "11", None)
            query = Query(TABLE.name, In(Field(name), wanted))
            with opened.transaction(write=False) as transaction:
                assert list(predicate.select(query, rows)) == list(transaction.select(query))


def test_a_wide_condition(opened: AnyStore) -> None:
    """A condition may have 5,000 parts."""
    rows: list[Record] = [{"id": f"{n:03}", "number": n} for n in range(20)]
    fill(opened, rows)
    parts = tuple(Compare("eq", Field("number"), Value(n)) for n in range(5, 5_005))
    none = And(tuple(Not(part) for part in parts))
    with opened.transaction(write=False) as transaction:
        assert rows[5:] == list(transaction.select(Query(TABLE.name, Or(parts))))
        assert rows[:5] == list(transaction.select(Query(TABLE.name, none)))


def test_wildcards_mean_themselves(opened: AnyStore) -> None:
    """`%` and `_` are letters like any other. [R-N27]"""
    rows: list[Record] = [{"id": text, "text": text} for text in ("50%", "500", "a_b", "axb", "%")]
    fill(opened, rows)
    for function, part, expected in (
        ("contains", "%", ["%", "50%"]),
        ("contains", "_", ["a_b"]),
        ("startswith", "50%", ["50%"]),
        ("endswith", "%", ["%", "50%"]),
        ("startswith", "a_", ["a_b"]),
        ("endswith", "_b", ["a_b"]),
    ):
        query = Query(TABLE.name, Call(function, (Field("text", ColumnType.STRING), Value(part))))  # type: ignore[arg-type]
        with opened.transaction(write=False) as transaction:
            assert expected == [row["id"] for row in transaction.select(query)]


def test_special_characters_are_found(opened: AnyStore) -> None:
    """Equality finds exactly the one row, whatever characters it holds. [N13]"""
    texts = [
        "plain",
        "&",
        '"',
        "'",
        "+",
        "/",
        "\\",
        ";",
        "--",
        "%",
        "_",
        "?",
        ":a",
        "@a",
        "$a",
        "#",
        "a b",
        "\t",
        "\n",
    ]
    rows: list[Record] = [{"id": str(n), "text": text, "extra": text} for n, text in enumerate(texts)]
    fill(opened, rows)
    with opened.transaction(write=False) as transaction:
        for row in rows:
            for name in ("text", "extra"):
                query = Query(TABLE.name, Compare("eq", Field(name), Value(row["text"])))
                assert [row] == list(transaction.select(query))


@pytest.mark.parametrize("skip", range(4))
@pytest.mark.parametrize("take", [None, 0, 1, 2, 3])
def test_paging(opened: AnyStore, skip: int, take: int | None) -> None:
    """Skip and take cut the ordered rows, take 0 gives none. [N06]"""
    rows: list[Record] = [{"id": str(n), "number": -n} for n in range(3)]
    fill(opened, rows)
    query = Query(TABLE.name, order=(Order(Field("number")),), skip=skip, take=take)
    expected = rows[::-1][skip : None if take is None else skip + take]
    with opened.transaction(write=False) as transaction:
        assert expected == list(transaction.select(query))


def test_dates_before_the_epoch_and_parts_of_dates(opened: AnyStore) -> None:
    """Datetimes compare and give their parts, before 1970 too. [N02]"""
    rows: list[Record] = [
        {"id": "old", "at": "1969-12-31T23:59:59.000000Z"},
        {"id": "new", "at": "2026-11-20T03:45:05.507000Z"},
    ]
    fill(opened, rows)
    at = Field("at", ColumnType.DATETIME)
    with opened.transaction(write=False) as transaction:
        before = Compare("lt", at, Value("1970-01-01T00:00:00.000000Z", ColumnType.DATETIME))
        assert rows[:1] == list(transaction.select(Query(TABLE.name, before)))
        for part, value in (
            ("year", 2026),
            ("month", 11),
            ("day", 20),
            ("hour", 3),
            ("minute", 45),
            ("second", 5),
        ):
            query = Query(TABLE.name, Compare("eq", Call(part, (at,)), Value(value)))  # type: ignore[arg-type]
            assert rows[1:] == list(transaction.select(query))


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        ("round", 1.5, 2.0),
        ("round", -1.5, -2.0),
        ("round", -0.09, 0.0),
        ("floor", -0.09, -1.0),
        ("floor", -1.09, -2.0),
        ("ceiling", -0.09, 0.0),
        ("ceiling", 1.09, 2.0),
    ],
)
def test_rounding(opened: AnyStore, function: str, value: float, expected: float) -> None:
    """Round goes away from zero at a half, floor down, ceiling up. [N04]"""
    fill(opened, [{"id": "x", "ratio": value}])
    query = Query(TABLE.name, Compare("eq", Call(function, (Field("ratio"),)), Value(expected)))  # type: ignore[arg-type]
    with opened.transaction(write=False) as transaction:
        assert ["x"] == [row["id"] for row in transaction.select(query)]
