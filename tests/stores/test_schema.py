"""Opening with another schema: what is added, moved, kept, refused."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores.conftest import AnyStore
from tidesync.errors import ConfigurationError, SchemaMismatch, UnknownTable
from tidesync.query import Compare, Field, Order, Query, Value, equals
from tidesync.records import Json, Record, same
from tidesync.schema import Column, TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.values import ColumnType

T = ColumnType


def schema(*indexes: tuple[str, ...], name: str = "todo", **columns: ColumnType) -> TableSchema:
    return TableSchema(name, tuple(Column(name, kind) for name, kind in columns.items()), indexes=indexes)


def fill(store: AnyStore, table: TableSchema, rows: list[Record]) -> None:
    store.open([table])
    with store.transaction(write=True) as transaction:
        transaction.put(table.name, rows)


def stored(store: AnyStore, where: Compare | None = None, order: tuple[Order, ...] = ()) -> list[Record]:
    with store.transaction(write=False) as transaction:
        return list(transaction.select(Query("todo", where, order)))


VALUES: list[Json] = [None, True, 1, 1.0, -0.0, "x", "", [1, {"a": None}], {}, "2026-11-20", 2**63 - 1]


@pytest.mark.parametrize("kind", list(ColumnType))
def test_a_new_column_takes_over_what_was_unknown(store: AnyStore, kind: ColumnType) -> None:
    """A new column takes the values kept under its name: absent stays absent, null null. [L06]"""
    rows: list[Record] = [{"id": f"{n:03}", "new": value, "other": n} for n, value in enumerate(VALUES)]
    rows += [{"id": f"9{n:04}"} for n in range(1200)] + [{"id": "99999", "new": None}]
    fill(store, schema(old=T.STRING), rows)
    store.close()
    store.open([schema(*([] if kind is T.JSON else [("new",)]), old=T.STRING, new=kind)])
    assert same(rows, stored(store))  # type: ignore[arg-type]
    text = Compare("eq", Field("new", T.STRING), Value("x"))
    assert [rows[5]] == stored(store, text)
    null = [row for row in rows if row.get("new") is None]
    assert null == stored(store, equals("new", None))
    rows.append({"id": "99999a", "new": True})
    with store.transaction(write=True) as transaction:
        transaction.put("todo", rows[-3:])
    assert same(rows, stored(store))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [T.BOOLEAN, T.JSON, T.STRING])
def test_a_column_is_added_to_records_that_have_nothing_in_it(store: AnyStore, kind: ColumnType) -> None:
    """Where no record of a page has a field of a column that was added, they come back as they were."""
    rows: list[Record] = [{"id": "1", "old": True}, {"id": "2", "old": None}]
    fill(store, schema(old=T.BOOLEAN), rows)
    store.close()
    store.open([schema(old=T.BOOLEAN, new=kind)])
    assert same(rows, stored(store))  # type: ignore[arg-type]


def test_a_removed_column_is_kept(store: AnyStore) -> None:
    """A removed column is an unknown field from then on: kept, queried and written like any. [L06]"""
    rows: list[Record] = [{"id": "1", "gone": "a", "kept": 1}, {"id": "2", "gone": None}, {"id": "3"}]
    fill(store, schema(("gone",), gone=T.STRING, kept=T.INTEGER), rows)
    store.close()
    fill(store, schema(kept=T.INTEGER), [])
    assert rows == stored(store)
    rows[2] = {"id": "3", "gone": [1]}
    fill(store, schema(kept=T.INTEGER), rows)
    assert rows == stored(store)
    assert rows[:1] == stored(store, equals("gone", "a"))
    store.close()
    store.open([schema(gone=T.STRING, kept=T.INTEGER)])
    assert rows == stored(store)


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (T.STRING, T.INTEGER, "x"),
        (T.STRING, T.DATETIME, "yesterday"),
        (T.STRING, T.BOOLEAN, "true"),
        (T.INTEGER, T.BOOLEAN, 1),
        (T.INTEGER, T.STRING, 1),
        (T.BOOLEAN, T.INTEGER, True),
        (T.JSON, T.STRING, [1]),
        (T.FLOAT, T.INTEGER, 1.5),
        (T.ANY, T.UUID, "x"),
    ],
)
def test_a_type_that_would_lose_values_is_refused(
    store: AnyStore, before: ColumnType, after: ColumnType, value: Json
) -> None:
    """A changed type that does not fit what is stored is SchemaMismatch, and nothing is touched. [L12]"""
    rows: list[Record] = [{"id": "1", "a": None}, {"id": "2", "a": value}]
    fill(store, schema(a=before), rows)
    store.close()
    with pytest.raises(SchemaMismatch, match="keep the old type") as caught:
        store.open([schema(name="first", b=T.STRING), schema(a=after, b=T.STRING)])
    assert ("todo", "a", before.value, after.value) == (
        caught.value.table,
        caught.value.column,
        caught.value.stored,
        caught.value.declared,
    )
    store.open([schema(a=before)])
    assert same(rows, stored(store))  # type: ignore[arg-type]
    with store.transaction(write=True) as transaction, pytest.raises(UnknownTable):
        transaction.put("first", [])


@pytest.mark.parametrize(
    ("before", "after", "values"),
    [
        (T.STRING, T.INTEGER, [None]),
        (T.INTEGER, T.FLOAT, [1, 2**53 + 1]),
        (T.STRING, T.DATE, ["2026-11-20"]),
        (T.STRING, T.ENUM, ["red"]),
        (T.STRING, T.ANY, ["a", None]),
        (T.BOOLEAN, T.ANY, [True, False, None]),
        (T.ANY, T.BOOLEAN, [True, False, None]),
        (T.ANY, T.JSON, [True, 1, "a", [1], {}, None]),
        (T.JSON, T.ANY, [True, 1, "a", [1], {}, None]),
        (T.BOOLEAN, T.JSON, [True, None]),
    ],
)
def test_a_type_that_loses_nothing_is_changed(
    store: AnyStore, before: ColumnType, after: ColumnType, values: list[Json]
) -> None:
    """A changed type that fits all stored values is taken, and queries find them as before. [L12]"""
    rows: list[Record] = [{"id": f"{n}", "a": value} for n, value in enumerate(values)]
    fill(store, schema(*([] if before is T.JSON else [("a",)]), a=before), rows)
    expected = [stored(store, Compare("eq", Field("a"), Value(value))) for value in values]
    store.close()
    store.open([schema(*([] if after is T.JSON else [("a",)]), a=after)])
    assert same(rows, stored(store))  # type: ignore[arg-type]
    assert expected == [stored(store, Compare("eq", Field("a"), Value(value))) for value in values]


def test_more_and_fewer_tables(store: AnyStore) -> None:
    """Opening again adds tables; opening with fewer leaves the others untouched."""
    first, second = schema(a=T.STRING), schema(name="more", b=T.STRING)
    fill(store, first, [{"id": "1", "a": "x"}])
    fill(store, second, [{"id": "2"}])
    assert [{"id": "1", "a": "x"}] == stored(store)
    store.close()
    store.open([second])
    with store.transaction(write=True) as transaction, pytest.raises(UnknownTable):
        _ = transaction.count(Query("todo"))
    store.close()
    store.open([first])
    assert [{"id": "1", "a": "x"}] == stored(store)


def test_names_that_mean_something_to_sql(store: AnyStore) -> None:
    """Any legal name works for a table, a column and an index. [L04] [L13] [R-N26]"""
    names = (
        "datetime",
        "order",
        "group",
        "rowid",
        "oid",
        "_rowid_",
        "ID",
        "select",
        "Table",
        "sqlite_x",
        "limit",
    )
    columns = dict.fromkeys(names, T.STRING)
    tables = [schema(("order", "ID"), name=name, **columns) for name in ("sqlite_master", "index", "Order")]
    tables.append(schema(name="order2"))
    store.open(tables)
    row: Record = {"id": "1", **{name: name for name in names}}
    for table in tables[:-1]:
        with store.transaction(write=True) as transaction:
            transaction.put(table.name, [row])
            for name in names:
                query = Query(table.name, equals(name, name), (Order(Field(name)),))
                assert [row] == list(transaction.select(query))
    store.close()
    store.open(tables)


def test_tables_whose_names_differ_in_case(store: AnyStore) -> None:
    """`Todo` and `todo` are two tables, and a column may come back in another case. [L04] [L12]"""
    lower, upper = schema(a=T.STRING), schema(name="Todo", a=T.STRING)
    fill(store, lower, [{"id": "1", "a": "x"}])
    fill(store, upper, [{"id": "2"}])
    store.close()
    store.open([upper, schema(A=T.STRING)])
    assert [{"id": "1", "a": "x"}] == stored(store)
    rows: list[Record] = [{"id": "1", "A": "y", "a": "x"}]
    fill(store, schema(A=T.STRING), rows)
    assert rows == stored(store)


# What follows is about the file.


def tables_of(path: Path) -> dict[str, list[str]]:
    """Tables of a file with their columns, as another program sees them."""
    with sqlite3.connect(path) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {
            name: [row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,))]
            for name in names
        }
    connection.close()
    return found


def indexes_of(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'index'")]
    connection.close()
    return sorted(sql for sql in found if sql and "__odd" not in sql)


def test_the_file_has_tables_with_columns(tmp_path: Path) -> None:
    """Tables are SQL tables with a column for each declared one, native where possible. [L02] [L05] [L09]"""
    path = tmp_path / "x.db"
    store = SQLiteStore(path)
    row: Record = {"id": "1", "text": "a", "number": 5, "ratio": 0.5, "flag": True, "tree": {"a": [1]}}
    fill(
        store,
        schema(text=T.STRING, number=T.INTEGER, ratio=T.FLOAT, flag=T.BOOLEAN, tree=T.JSON),
        [row],
    )
    store.close()
    columns = ["id", "text", "number", "ratio", "flag", "tree"]
    assert columns == tables_of(path)["todo"][:6]
    with sqlite3.connect(path) as connection:
        sql = "SELECT id, text, number, ratio, flag, tree FROM todo WHERE number > ?"
        assert [("1", "a", 5, 0.5, 1, '{"a":[1]}')] == connection.execute(sql, (4,)).fetchall()
        natives = "SELECT typeof(text), typeof(number), typeof(ratio), typeof(flag) FROM todo"
        assert [("text", "integer", "real", "integer")] == connection.execute(natives).fetchall()
    connection.close()


def test_indexes_follow_the_schema(tmp_path: Path) -> None:
    """Indexes are created and dropped to match the schema."""
    path = tmp_path / "x.db"
    store = SQLiteStore(path)
    store.open([schema(("a", "b"), ("b",), a=T.STRING, b=T.STRING)])
    expected = [
        'CREATE INDEX "todo:a,b,id" ON "todo" ("a", "b", "id")',
        'CREATE INDEX "todo:b,id" ON "todo" ("b", "id")',
    ]
    store.close()
    assert expected == indexes_of(path)
    store.open([schema(("c",), ("b",), a=T.STRING, b=T.STRING, c=T.STRING)])
    store.close()
    assert [expected[1], 'CREATE INDEX "todo:c,id" ON "todo" ("c", "id")'] == indexes_of(path)
    store.open([schema(a=T.STRING)])
    assert [] == indexes_of(path)
    store.close()


def test_opening_again_writes_nothing(tmp_path: Path) -> None:
    """Opening with the schema that the file has changes no byte of it. [L10]"""
    path = tmp_path / "x.db"
    table = schema(("a",), a=T.STRING)
    store = SQLiteStore(path)
    store.open([table])
    store.close()
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    store.open([table])
    store.open([table])
    store.close()
    assert (before, stamp) == (path.read_bytes(), path.stat().st_mtime_ns)


def test_a_failed_upgrade_changes_no_byte(tmp_path: Path) -> None:
    """After SchemaMismatch the file is byte for byte what it was."""
    path = tmp_path / "x.db"
    store = SQLiteStore(path)
    fill(store, schema(a=T.STRING), [{"id": "1", "a": "x", "c": 1}])
    store.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch):
        store.open([schema(name="new", a=T.STRING), schema(("c",), a=T.INTEGER, c=T.INTEGER)])
    store.close()
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_an_older_program_beside_a_newer_one(tmp_path: Path) -> None:
    """A store that was opened before another one added a column goes on, and both see all values."""
    old, new = SQLiteStore(tmp_path / "x.db"), SQLiteStore(tmp_path / "x.db")
    fill(old, schema(a=T.STRING), [{"id": "1", "a": "x", "b": True}])
    fill(new, schema(("b",), a=T.STRING, b=T.BOOLEAN), [{"id": "2", "b": False}])
    with old.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "3", "b": True}, {"id": "4", "b": None}, {"id": "5"}])
    expected: list[Record] = [
        {"id": "1", "a": "x", "b": True},
        {"id": "2", "b": False},
        {"id": "3", "b": True},
        {"id": "4", "b": None},
        {"id": "5"},
    ]
    assert expected == stored(old)
    assert expected == stored(new)
    assert [expected[0], expected[2]] == stored(new, equals("b", True))
    old.close()
    new.close()


def test_too_many_columns(make: Callable[..., AnyStore], tmp_path: Path) -> None:
    """A table of 900 columns works; one with more than SQLite can hold is a ConfigurationError. [M05]"""
    store = make()
    columns = {f"c{n}": T.INTEGER for n in range(900)}
    row: Record = {"id": "1", **dict.fromkeys(columns, 7)}
    fill(store, schema(**columns), [row])
    assert [row] == stored(store)
    sqlite = SQLiteStore(tmp_path / "wide.db")
    with pytest.raises(ConfigurationError, match="1000"):
        sqlite.open([schema(**{f"c{n}": T.INTEGER for n in range(1500)})])
