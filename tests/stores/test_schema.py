"""What a schema becomes in the file, and what opening it again changes there."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores.conftest import AnyStore
from tidesync.errors import ConfigurationError, SchemaMismatch
from tidesync.query import Query
from tidesync.records import Record
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


def stored(store: AnyStore) -> list[Record]:
    with store.transaction(write=False) as transaction:
        return list(transaction.select(Query("todo")))


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
