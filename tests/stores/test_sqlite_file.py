"""What a SQLite store says of files it cannot use, and that it leaves them as they are."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tidesync.errors import (
    ConfigurationError,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
)
from tidesync.query import Field, Order, Query, equals
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.values import ColumnType

TABLE = TableSchema("todo", (Column("text", ColumnType.STRING),), indexes=(("text",),))
ROWS: list[Record] = [{"id": f"{n:04}", "text": f"text {n % 100} " + "x" * 100} for n in range(1000)]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A store's file with 1,000 records, closed; nothing but it may be left beside it."""
    path = tmp_path / "x.db"
    store = SQLiteStore(path, synchronous="normal")
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", ROWS)
    store.close()
    yield path
    assert [path] == sorted(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", ":memory:", "a\0b"])
def test_a_path_is_the_path_of_a_file(name: str) -> None:
    """A path that names no file is a ConfigurationError, at construction. [L08]"""
    with pytest.raises(ConfigurationError, match="path of a file"):
        SQLiteStore(name)


def test_synchronous_is_one_of_two() -> None:
    """Durability is full or normal, and full by default."""
    with pytest.raises(ConfigurationError, match="full"):
        SQLiteStore("x.db", synchronous="off")  # type: ignore[arg-type]
    assert SQLiteStore("x.db").capabilities.durable
    assert not SQLiteStore("x.db", synchronous="normal").capabilities.durable


def test_construction_does_no_io(tmp_path: Path) -> None:
    """Making a store touches nothing. [L08] [L16]"""
    _ = SQLiteStore(tmp_path / "x.db")
    assert [] == list(tmp_path.iterdir())


def test_the_file_can_be_deleted_after_close(tmp_path: Path) -> None:
    """Close leaves one file and holds nothing open. [L08]"""
    path = tmp_path / "x.db"
    store = SQLiteStore(path)
    store.open([TABLE])
    with store.transaction(write=False) as transaction:
        assert [] == list(transaction.select(Query("todo")))
    store.close()
    assert [path] == list(tmp_path.iterdir())
    open_files = Path("/proc/self/fd")
    assert str(path) not in [os.path.realpath(name) for name in open_files.glob("*")]
    path.unlink()
    store.open([TABLE])
    store.close()


def test_a_directory_is_unavailable(tmp_path: Path) -> None:
    """A directory is StoreUnavailable, and the message says what to do. [L08]"""
    with pytest.raises(StoreUnavailable, match="is a directory: name a file in it"):
        SQLiteStore(tmp_path).open([TABLE])


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    """A folder that does not exist is StoreUnavailable, and is not made. [L08]"""
    with pytest.raises(StoreUnavailable, match="create it first"):
        SQLiteStore(tmp_path / "no" / "x.db").open([TABLE])
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"x", b"not a database, " * 100, b"SQLite format 3\0", b"\0" * 4096])
def test_what_is_not_a_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is StoreCorrupt and is not touched."""
    path = tmp_path / "x.db"
    _ = path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match="choose another path"):
            SQLiteStore(path).open([TABLE])
    assert content == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """An empty file holds nothing that could be lost, and is taken."""
    path = tmp_path / "x.db"
    path.touch()
    store = SQLiteStore(path)
    store.open([TABLE])
    store.close()
    assert path.read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_another_program_is_refused(tmp_path: Path, mode: str) -> None:
    """A SQLite file without our mark is StoreCorrupt, and is not adopted."""
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        _ = connection.execute(f"PRAGMA journal_mode = {mode}")
        _ = connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="another program"):
        SQLiteStore(path).open([TABLE])
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_newer_file_is_refused(path: Path) -> None:
    """A file of a newer tidesync is StoreTooNew with both versions, and is not touched."""
    connection = apsw.Connection(str(path))
    _ = connection.pragma("user_version", 99)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreTooNew, match="upgrade") as caught:
        SQLiteStore(path).open([TABLE])
    assert (99, 1) == (caught.value.found, caught.value.supported)
    assert before == path.read_bytes()


def test_damage_is_told_and_not_made_worse(path: Path) -> None:
    """Damage inside the file is StoreCorrupt with the driver's error; the file is not touched."""
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    _ = path.write_bytes(content)
    store = SQLiteStore(path)
    store.open([TABLE])

    def put_all() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put("todo", ROWS)

    def read_all(query: Query) -> None:
        with store.transaction(write=False) as transaction:
            _ = list(transaction.select(query))

    for step in (
        put_all,
        lambda: read_all(Query("todo")),
        lambda: read_all(Query("todo", equals("text", ROWS[500]["text"]), (Order(Field("text")),))),
    ):
        with pytest.raises(StoreCorrupt, match="restore a copy") as caught:
            step()
        assert isinstance(caught.value.__cause__, apsw.CorruptError)
    store.close()
    assert bytes(content) == path.read_bytes()


def test_a_damaged_schema_is_told_at_open(path: Path) -> None:
    """Damage where the tables are listed is StoreCorrupt at open."""
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xa5" * 3996
    _ = path.write_bytes(content)
    store = SQLiteStore(path)
    with pytest.raises(StoreCorrupt, match="restore a copy"):
        store.open([TABLE])
    store.close()
    assert bytes(content) == path.read_bytes()


def test_a_truncated_file_is_told(path: Path) -> None:
    """A file cut short is StoreCorrupt."""
    content = path.read_bytes()[: 4096 * 5]
    _ = path.write_bytes(content)
    store = SQLiteStore(path)

    def read_all() -> None:
        store.open([TABLE])
        with store.transaction(write=False) as transaction:
            _ = list(transaction.select(Query("todo")))

    with pytest.raises(StoreCorrupt):
        read_all()
    store.close()
    assert content == path.read_bytes()


def test_a_lost_catalogue_is_told(path: Path) -> None:
    """A file of ours without the list of its tables is StoreCorrupt."""
    connection = apsw.Connection(str(path))
    _ = connection.execute('DELETE FROM "_tidesync"')
    connection.close()
    store = SQLiteStore(path)
    with pytest.raises(StoreCorrupt, match="list of tables"):
        store.open([TABLE])
    store.close()


def test_a_full_disk_keeps_nothing_of_the_transaction(path: Path) -> None:
    """When the disk is full: StoreFull, nothing of the transaction is kept, and the store goes on."""
    store = SQLiteStore(path)
    store.open([TABLE])
    connection = store.borrow()
    pages = connection.pragma("page_count")
    _ = connection.pragma("max_page_count", pages)  # type: ignore[arg-type]
    store.give_back(connection)
    big: list[Record] = [{"id": f"big {n}", "text": "x" * 5000} for n in range(200)]

    def fill() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put("todo", [{"id": "first"}])
            with pytest.raises(StoreFull, match="make room") as caught:
                transaction.put("todo", big)
            assert isinstance(caught.value.__cause__, apsw.FullError)
            with pytest.raises(StoreError, match="leave it"):
                transaction.put("todo", [{"id": "after"}])

    with pytest.raises(StoreError, match="nothing was written"):
        fill()
    with store.transaction(write=True) as transaction:
        assert 1000 == transaction.count(Query("todo"))
        assert 500 == transaction.delete("todo", [f"{n:04}" for n in range(500)])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "small"}])
    store.close()


CHILD = """
import os, sys
from tidesync.errors import StoreReadOnly, StoreUnavailable
from tidesync.schema import TableSchema
from tidesync.stores.sqlite import SQLiteStore
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    SQLiteStore(sys.argv[1]).open([TableSchema("todo", ())])
except (StoreReadOnly, StoreUnavailable) as error:
    print(type(error).__name__, error)
"""


def as_another_user(path: Path) -> str:
    """What a process without root's rights says when it opens the file."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)], capture_output=True, text=True, check=True
    )
    return run.stdout


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that every user can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def test_a_read_only_file_is_told(path: Path, open_folder: Path) -> None:
    """A file that may be read and not written is StoreReadOnly, and is not touched."""
    before = path.read_bytes()
    open_folder.chmod(0o777)
    path.chmod(0o444)
    assert as_another_user(path).startswith("StoreReadOnly")
    assert "mend the permissions" in as_another_user(path)
    assert before == path.read_bytes()


def test_a_read_only_folder_is_told(path: Path, open_folder: Path) -> None:
    """A folder that cannot be written is StoreReadOnly, for an old file and a new one."""
    before = path.read_bytes()
    path.chmod(0o666)
    open_folder.chmod(0o555)
    for name in (path, open_folder / "new.db"):
        assert as_another_user(name).startswith("StoreReadOnly")
    assert before == path.read_bytes()


def test_a_file_of_another_user_is_unavailable(path: Path, open_folder: Path) -> None:
    """A file that may not even be read is StoreUnavailable."""
    path.chmod(0o600 if os.getuid() == 0 else 0)
    open_folder.chmod(0o777)
    assert as_another_user(path).startswith("StoreUnavailable")
    path.chmod(0o600)
