"""Files that cannot be opened with a key are told, and left byte for byte as they are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.sqlcipher.support import (
    KEY,
    OTHER_KEY,
    PASSPHRASE,
    ROWS,
    TABLE,
    contents,
    held,
    made,
    opened,
    rows_of,
)
from tidesync.errors import StoreBusy, StoreCorrupt, StoreReadOnly, StoreTooNew, StoreUnavailable, WrongKey
from tidesync.query import Call, Compare, Field, Order, Query, Value, equals
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.file_store import Mode
from tidesync.stores.keys import KeySource
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

MODES: list[Mode] = ["rwc", "rw", "ro"]


def crashed(path: Path, folder: Path, key: KeySource = KEY) -> Path:
    """A copy of the file as a crash leaves it: with a log that holds the newest record."""
    folder.mkdir()
    with opened(path, key) as store:
        with store.transaction(write=True) as transaction:
            transaction.put("todo", [{"id": "newest"}])
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(path.parent / name, folder / name)
    return folder / path.name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("log", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize("key", [OTHER_KEY, PASSPHRASE], ids=["raw", "passphrase"])
def test_a_wrong_key_touches_nothing(tmp_path: Path, mode: Mode, log: bool, key: KeySource) -> None:
    """Another key is WrongKey, again and again; neither the file nor a log that a crash left changes."""
    path = tmp_path / "x.db"
    made(path)
    if log:
        path = crashed(path, tmp_path / "crashed")
    before = contents(path.parent)
    for _ in range(2):
        with pytest.raises(WrongKey, match="this key does not open it") as caught:
            SQLCipherStore(path, key=key, mode=mode).open([TABLE])
        assert str(path) in str(caught.value)
    assert before == contents(path.parent)
    assert [*ROWS, *([{"id": "newest"}] if log else [])] == rows_of(path)


@pytest.mark.parametrize("mode", MODES)
def test_a_plain_file_is_told(tmp_path: Path, mode: Mode) -> None:
    """A file of SQLiteStore is WrongKey, and the message says that it is not encrypted."""
    path = tmp_path / "x.db"
    plain = SQLiteStore(path)
    plain.open([TABLE])
    plain.close()
    before = contents(tmp_path)
    with pytest.raises(WrongKey, match="not encrypted: open it with SQLiteStore"):
        SQLCipherStore(path, key=KEY, mode=mode).open([TABLE])
    assert before == contents(tmp_path)


@pytest.mark.parametrize("mode", MODES)
def test_an_encrypted_file_without_its_key_is_told(tmp_path: Path, mode: Mode) -> None:
    """SQLiteStore says StoreCorrupt of an encrypted file, and names the store that may open it."""
    made(tmp_path / "x.db")
    before = contents(tmp_path)
    with pytest.raises(StoreCorrupt, match="SQLCipherStore opens an encrypted one"):
        SQLiteStore(tmp_path / "x.db", mode=mode).open([])
    assert before == contents(tmp_path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "content", [b"x", b"not a database, " * 100, b"SQLite format 3\0", b"\0" * 4_096, b"x" * 8_192]
)
def test_what_is_not_a_database_is_told(tmp_path: Path, mode: Mode, content: bytes) -> None:
    """Of what has no pages, StoreCorrupt; pages of anything else could be encrypted with another key."""
    path = tmp_path / "x.db"
    _ = path.write_bytes(content)
    expected = WrongKey if len(content) % 4_096 == 0 else StoreCorrupt
    with pytest.raises(expected, match=r"x\.db"):
        SQLCipherStore(path, key=KEY, mode=mode).open([TABLE])
    assert {"x.db": content} == contents(tmp_path)


def test_an_empty_file_becomes_a_store_or_is_told(tmp_path: Path) -> None:
    """An empty file holds nothing that could be lost, and is taken; who looks at a store finds none in it."""
    path = tmp_path / "x.db"
    path.touch()
    for mode in ("rw", "ro"):
        with pytest.raises(StoreCorrupt, match="is empty"):
            SQLCipherStore(path, key=KEY, mode=mode).open([TABLE])
    assert {"x.db": b""} == contents(tmp_path)
    assert [] == rows_of(path)
    assert path.stat().st_size > 0


@pytest.mark.parametrize("mode", MODES)
def test_a_newer_file_and_another_programs_are_told(tmp_path: Path, mode: Mode) -> None:
    """With the right key, a newer format is StoreTooNew, another program's database StoreCorrupt."""
    for name, mark in (("newer.db", "user_version"), ("other.db", "application_id")):
        made(tmp_path / name)
        with opened(tmp_path / name) as store:
            connection = store.borrow()
            _ = connection.pragma(mark, 99)
            store.give_back(connection)
    before = contents(tmp_path)
    with pytest.raises(StoreTooNew, match="upgrade") as caught:
        SQLCipherStore(tmp_path / "newer.db", key=KEY, mode=mode).open([TABLE])
    assert (99, 1) == (caught.value.found, caught.value.supported)
    with pytest.raises(StoreCorrupt, match="another program"):
        SQLCipherStore(tmp_path / "other.db", key=KEY, mode=mode).open([TABLE])
    assert before == contents(tmp_path)


def test_a_place_without_a_file_is_unavailable(tmp_path: Path) -> None:
    """A directory, a folder that is not there, and no file where none is to be made."""
    for path, mode in ((tmp_path, "rwc"), (tmp_path / "no" / "x.db", "rwc"), (tmp_path / "x.db", "rw")):
        with pytest.raises(StoreUnavailable):
            SQLCipherStore(path, key=KEY, mode=mode).open([])  # type: ignore[arg-type]
    assert [] == list(tmp_path.iterdir())


def test_construction_does_no_io(tmp_path: Path) -> None:
    """Making a store touches nothing, and asks nobody for a key."""
    _ = SQLCipherStore(tmp_path / "x.db", key=lambda: pytest.fail("asked"))
    assert [] == list(tmp_path.iterdir())


def test_it_says_what_it_can() -> None:
    """Durable, for several processes, and encrypted."""
    capabilities = SQLCipherStore("x.db", key=KEY).capabilities
    assert (True, True, True) == (capabilities.durable, capabilities.multiprocess, capabilities.encrypted)
    assert not SQLCipherStore("x.db", key=KEY, synchronous="normal").capabilities.durable


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_every_table_is_there_without_being_declared(tmp_path: Path, mode: Mode) -> None:
    """The modes for whoever looks at a store make nothing, and see every table; "ro" writes nothing."""
    path = tmp_path / "x.db"
    made(path)
    before = contents(tmp_path)
    store = SQLCipherStore(path, key=KEY, mode=mode)
    store.open([TableSchema("other")])
    assert ROWS == held(store)
    if mode == "ro":
        with pytest.raises(StoreReadOnly), store.transaction(write=True):
            pass
        with pytest.raises(StoreReadOnly):
            store.rekey(OTHER_KEY)
    store.close()
    assert before == contents(tmp_path)


def test_a_reader_leaves_the_log_that_a_crash_left(tmp_path: Path) -> None:
    """Mode "ro" reads what is only in the log, and does not move it into the file."""
    made(tmp_path / "x.db")
    path = crashed(tmp_path / "x.db", tmp_path / "crashed")
    before = contents(path.parent)
    reader = SQLCipherStore(path, key=KEY, mode="ro")
    reader.open([])
    assert [*ROWS, {"id": "newest"}] == held(reader)
    reader.close()
    assert before == contents(path.parent)


def test_the_file_is_alone_after_close(tmp_path: Path) -> None:
    """Close leaves one file, whose name is all that tells of it."""
    made(tmp_path / "x.db")
    assert ["x.db"] == [each.name for each in tmp_path.iterdir()]


def test_one_kind_of_store_at_a_time(tmp_path: Path) -> None:
    """Two libraries in one process would let go of each other's locks: the second store is StoreBusy."""
    path = tmp_path / "x.db"
    plain, encrypted = SQLiteStore(path), SQLCipherStore(path, key=KEY)
    plain.open([])
    with pytest.raises(StoreBusy, match="another kind of store"):
        encrypted.open([])
    plain.close()
    path.unlink()
    encrypted.open([])
    with pytest.raises(StoreBusy, match="another kind of store"):
        plain.open([])
    encrypted.close()
    path.unlink()
    plain.open([])
    plain.close()


def test_a_text_with_a_nul_is_compared_whole(tmp_path: Path) -> None:
    """sqlcipher3 cuts a text at U+0000 on its way into a function; a query means what it means all the same."""
    rows: list[Record] = [
        {"id": "a\0b", "text": "A\0B", "un\0named": "c\0D"},
        {"id": "a", "text": "A", "un": "c"},
    ]
    made(tmp_path / "x.db", KEY, rows)
    upper = Call("upper", (Field("id"),))
    unnamed = Field("un\0named")
    queries = {
        Query("todo", Compare("eq", upper, Value("A\0B"))): ["a\0b"],
        Query("todo", Compare("eq", upper, Field("text"))): ["a", "a\0b"],
        Query("todo", Compare("eq", Call("length", (Field("id"),)), Value(3))): ["a\0b"],
        Query("todo", Compare("eq", Call("lower", (unnamed,)), Value("c\0d"))): ["a\0b"],
        Query("todo", Compare("ne", unnamed, Value(None))): ["a\0b"],
        Query("todo", equals("text", "A\0B")): ["a\0b"],
        Query("todo", order=(Order(upper, descending=True),)): ["a\0b", "a"],
    }
    with opened(tmp_path / "x.db") as store, store.transaction(write=False) as transaction:
        for query, expected in queries.items():
            assert expected == [row["id"] for row in transaction.select(query)], query


def test_a_missing_extra_is_named() -> None:
    """Without sqlcipher3, whoever asks for the store is told what to install; the others work."""
    program = (
        "import sys; sys.modules['sqlcipher3'] = None\n"
        "import tidesync.stores\n"
        "from tidesync.errors import MissingExtra\n"
        "for name in ('SQLCipherStore', 'encrypt_file', 'decrypt_file'):\n"
        "    try:\n"
        "        getattr(tidesync.stores, name)\n"
        "    except MissingExtra as error:\n"
        "        print(error)\n"
        "print(tidesync.stores.SQLiteStore.__name__)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    missing = "sqlcipher3 is not installed: pip install 'tidesync[sqlcipher]'"
    assert [missing] * 3 + ["SQLiteStore"] == told.stdout.splitlines()


def test_each_store_loads_its_own_driver() -> None:
    """`tidesync.stores` loads no driver, the plain store not sqlcipher3, and the encrypted one not apsw."""
    program = (
        "import sys, tidesync.stores\n"
        "drivers = {'apsw', 'sqlcipher3'}\n"
        "print(*drivers & set(sys.modules))\n"
        "tidesync.stores.SQLCipherStore, tidesync.stores.encrypt_file\n"
        "print(*drivers & set(sys.modules))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ["", "sqlcipher3"] == told.stdout.splitlines()
