"""Looking at the store of an application: mode "ro" and "rw" make nothing, and see every table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tidesync.errors import (
    ConfigurationError,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
    UnknownTable,
)
from tidesync.query import Query
from tidesync.schema import Column, TableSchema
from tidesync.stores.sql.ddl import FORMAT
from tidesync.stores.sqlite import Mode, SQLiteStore
from tidesync.values import ColumnType

TODO = TableSchema("todo", (Column("text", ColumnType.STRING),), indexes=(("text",),))
WIDER = TableSchema("todo", (Column("text", ColumnType.STRING), Column("more", ColumnType.STRING)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one record."""
    path = tmp_path / "app.db"
    store = SQLiteStore(path)
    store.open([TODO])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "a", "text": "x"}])
    store.close()
    return path


def held(store: SQLiteStore) -> list[str]:
    with store.transaction(write=False) as transaction:
        return [str(row["id"]) for row in transaction.select(Query("todo"))]


def state(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.endswith("-shm")}


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_every_table_is_there_without_being_declared(path: Path, mode: Mode) -> None:
    """Nothing has to be known of the application; a table that the file has not is none, and is not made."""
    before = state(path.parent)
    store = SQLiteStore(path, mode=mode)
    store.open([TableSchema("other", ()), WIDER])
    assert ["a"] == held(store)
    with store.transaction(write=False) as transaction, pytest.raises(UnknownTable):
        _ = transaction.get("other", ["a"])
    store.close()
    assert before == state(path.parent)


def test_a_writer_of_an_existing_file_changes_records_and_no_layout(path: Path) -> None:
    """The indexes of the application stay, and a field without a column is kept as an unknown one."""
    store = SQLiteStore(path, mode="rw")
    store.open([WIDER])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "b", "text": "y", "more": "z"}])
    store.close()
    connection = apsw.Connection(str(path))
    names = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='index'")}
    columns = [str(row[1]) for row in connection.execute("PRAGMA table_info('todo')")]
    connection.close()
    assert "todo:text,id" in names
    assert "more" not in columns


def test_a_reader_writes_nothing(path: Path) -> None:
    """A write transaction is StoreReadOnly, and says how to write."""
    store = SQLiteStore(path, mode="ro")
    store.open([])
    with pytest.raises(StoreReadOnly, match='mode="rw"'), store.transaction(write=True):
        pass
    store.close()


def test_a_reader_sees_what_is_committed_while_another_one_writes(path: Path) -> None:
    """One committed state, without waiting for the writer."""
    writer, reader = SQLiteStore(path), SQLiteStore(path, mode="ro", busy_timeout=0)
    writer.open([TODO])
    reader.open([])
    with writer.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "b"}])
        code = f"""
from tidesync.query import Query
from tidesync.stores.sqlite import SQLiteStore
store = SQLiteStore({str(path)!r}, mode="ro", busy_timeout=0)
store.open([])
with store.transaction(write=False) as transaction:
    print(transaction.count(Query("todo")))
"""
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "1\n" == told.stdout
    assert ["a", "b"] == held(reader)
    reader.close()
    writer.close()


def test_the_log_that_a_crash_left_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    """What is only in the log is read, and not moved into the file: there may be something to look at."""
    store = SQLiteStore(path)
    store.open([TODO])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "b"}])
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("app.db", "app.db-wal"):
        shutil.copy(tmp_path / name, crashed / name)
    store.close()
    before = state(crashed)
    reader = SQLiteStore(crashed / "app.db", mode="ro")
    reader.open([])
    assert ["a", "b"] == held(reader)
    reader.close()
    assert before == state(crashed)


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_what_is_no_store_is_refused_and_nothing_is_made(tmp_path: Path, mode: Mode) -> None:
    """No file, no folder, a directory, an empty file, a text, another program's database, a newer format."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("hello" * 100)
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE t (x)")
    other.close()
    newer = SQLiteStore(tmp_path / "newer.db")
    newer.open([])
    newer.close()
    connection = apsw.Connection(str(tmp_path / "newer.db"))
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    before = sorted(each.name for each in tmp_path.iterdir())
    wrong: dict[str, type[StoreError]] = {
        "missing.db": StoreUnavailable, "no/app.db": StoreUnavailable, "folder": StoreUnavailable,
        "empty.db": StoreCorrupt, "text.db": StoreCorrupt, "other.db": StoreCorrupt, "newer.db": StoreTooNew,
    }  # fmt: skip
    for name, error in wrong.items():
        with pytest.raises(error, match=name):
            SQLiteStore(tmp_path / name, mode=mode).open([])
    assert before == sorted(each.name for each in tmp_path.iterdir())


def test_an_unknown_mode_is_told() -> None:
    """The three are named."""
    with pytest.raises(ConfigurationError, match='"rwc", "rw" or "ro"'):
        _ = SQLiteStore("x.db", mode="r")  # type: ignore[arg-type]


CHILD = """
import os, sys
from tidesync.query import Query
from tidesync.stores.sqlite import SQLiteStore
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
store = SQLiteStore(sys.argv[1], mode="ro")
store.open([])
with store.transaction(write=False) as transaction:
    print(*(row["id"] for row in transaction.select(Query("todo"))))
store.close()
"""


@pytest.mark.parametrize("log", [False, True], ids=["at rest", "in use"])
@pytest.mark.parametrize("locked", ["file", "folder", "both"])
def test_a_reader_needs_no_right_to_write(path: Path, tmp_path: Path, locked: str, log: bool) -> None:
    """A file, a folder or both that cannot be written, also while the application has the file open."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    store = SQLiteStore(path)
    if log:
        store.open([TODO])
        with store.transaction(write=True) as transaction:
            transaction.put("todo", [{"id": "b"}])
    for each in tmp_path.iterdir():
        each.chmod(0o444 if locked in ("file", "both") else 0o666)
    tmp_path.chmod(0o555 if locked in ("folder", "both") else 0o777)
    before = sorted(each.name for each in tmp_path.iterdir())
    told = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False
    )
    after = sorted(each.name for each in tmp_path.iterdir())
    store.close()
    tmp_path.chmod(0o777)
    assert ("a b" if log else "a", "") == (told.stdout.strip(), told.stderr)
    assert before == after
