"""A changed byte is told, and nobody gets wrong data from it."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores.sqlcipher.support import (
    KEY,
    LONG,
    OTHER_KEY,
    PAGE,
    ROWS,
    SOAK,
    TABLE,
    contents,
    made,
    opened,
)
from tidesync.errors import StoreClosed, StoreCorrupt, StoreError, WrongKey
from tidesync.query import Query, equals
from tidesync.records import Record
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.stores.sqlite_transaction import SQLiteTransaction

ROUNDS = 20 if SOAK else 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed file of some hundred pages, with values that fill several pages, and pages that hold nothing."""
    path = tmp_path / "x.db"
    made(path)
    with opened(path) as store, store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": f"gone {n}", "text": "y" * 5_000} for n in range(20)])
    with opened(path) as store, store.transaction(write=True) as transaction:
        transaction.delete("todo", [f"gone {n}" for n in range(20)])
    return path


def flipped(path: Path, offset: int, bit: int = 1) -> None:
    """Change one bit of a file that nobody has open."""
    content = bytearray(path.read_bytes())
    content[offset] ^= bit
    _ = path.write_bytes(content)


def reads() -> list[Callable[[SQLCipherStore], object]]:
    """All reads there are, each with one right answer."""

    def select(store: SQLCipherStore) -> object:
        with store.transaction(write=False) as transaction:
            return list(transaction.select(Query("todo")))

    def get(store: SQLCipherStore) -> object:
        with store.transaction(write=False) as transaction:
            return [transaction.get("todo", [str(row["id"])]) for row in (*ROWS[::10], *LONG)]

    def by_index(store: SQLCipherStore) -> object:
        with store.transaction(write=False) as transaction:
            return [
                transaction.count(Query("todo", equals("text", row["text"])))
                for row in (*ROWS[:3], *ROWS[-3:])
            ]

    def write(store: SQLCipherStore) -> object:
        with store.transaction(write=True) as transaction:
            transaction.put("todo", ROWS)
            return transaction.count(Query("todo"))

    return [select, get, by_index, write]


def test_a_changed_byte_in_any_page_is_told_or_harmless(path: Path) -> None:
    """One bit in each page, at an offset of chance: each read gives what was written, or StoreCorrupt; WrongKey for
    the first page, which holds the salt; and verify() tells it always."""
    chance = random.Random(8)
    content = path.read_bytes()
    with opened(path) as store:
        right = [read(store) for read in reads()]
    told = 0
    for _ in range(ROUNDS):
        for start in range(0, len(content), PAGE):
            if start % (3 * PAGE) and not SOAK:
                continue
            _ = path.write_bytes(content)
            flipped(path, start + chance.randrange(PAGE), 1 << chance.randrange(8))
            damaged = path.read_bytes()
            if start == 0:
                with pytest.raises(WrongKey), opened(path):
                    pass
                assert damaged == path.read_bytes()
                continue
            for read, expected in zip(reads(), right, strict=True):
                try:
                    with opened(path) as store:
                        assert expected == read(store), start
                except StoreCorrupt:
                    told += 1
            _ = path.write_bytes(damaged)
            with pytest.raises(StoreCorrupt), opened(path) as store:
                store.verify()
    assert told > len(content) // PAGE // 3


@pytest.mark.parametrize("length", [3_000, 4_100, 8_050, 12_500, 30_000])
def test_the_end_of_a_long_value_is_checked(tmp_path: Path, length: int) -> None:
    """SQLite takes a page that cannot be decrypted for the end of a long value, of zeros: here it is StoreCorrupt."""
    path = tmp_path / "x.db"
    rows: list[Record] = [{"id": "long", "text": "z" * length}]
    made(path, KEY, rows)
    content = path.read_bytes()
    for start in range(PAGE, len(content), PAGE):
        flipped(path, start + 1_000)
        for step in ("get", "select"):
            try:
                with opened(path) as store, store.transaction(write=False) as transaction:
                    found = list(transaction.get("todo", ["long"]))
                    if step == "select":
                        found = list(transaction.select(Query("todo")))
                    assert rows == found
            except StoreCorrupt:
                pass
        _ = path.write_bytes(content)


def test_what_was_read_from_a_damaged_page_is_not_kept(path: Path) -> None:
    """A connection that met damage is not used again: the next transaction does not take its word."""
    content = path.read_bytes()
    with opened(path) as store:
        for start in range(PAGE, len(content), PAGE):
            store.close_idle()
            flipped(path, start + 77)
            for _ in range(3):
                try:
                    with store.transaction(write=False) as transaction:
                        assert ROWS == list(transaction.select(Query("todo")))
                except StoreCorrupt:
                    pass
            store.close_idle()
            _ = path.write_bytes(content)
        with store.transaction(write=False) as transaction:
            assert ROWS == list(transaction.select(Query("todo")))


def test_a_read_that_outlives_the_store_is_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another thread closes the store in the middle of a read, damage is still not taken for a value."""
    path = tmp_path / "x.db"
    rows: list[Record] = [{"id": "long", "text": "z" * 30_000}]
    made(path, KEY, rows)
    check = SQLiteTransaction._check

    def late(transaction: SQLiteTransaction) -> None:
        store.close()
        check(transaction)

    monkeypatch.setattr(SQLiteTransaction, "_check", late)
    content = path.read_bytes()
    for start in range(PAGE, len(content), PAGE):
        flipped(path, start + 1_000)
        store = SQLCipherStore(path, key=KEY)
        try:
            store.open([TABLE])
            with store.transaction(write=False) as transaction:
                found = transaction.get("todo", ["long"])
                assert rows == found, start
        except (StoreCorrupt, StoreClosed):
            pass
        _ = path.write_bytes(content)


def test_verify_finds_nothing_in_a_sound_file(path: Path) -> None:
    """A sound file passes, while others read and write it, and with a log; "ro" passes too."""
    with opened(path) as store, opened(path) as other:
        store.verify()
        with other.transaction(write=True) as transaction:
            transaction.put("todo", [{"id": "new"}])
        store.verify()
    reader = SQLCipherStore(path, key=KEY, mode="ro")
    reader.open([])
    reader.verify()
    reader.close()


def test_a_truncated_file_is_told(path: Path) -> None:
    """A file cut short is StoreCorrupt at the latest when it is verified."""
    content = path.read_bytes()
    for length in (len(content) - PAGE, len(content) // 2, PAGE * 3 + 100, PAGE):
        _ = path.write_bytes(content[:length])
        with pytest.raises(StoreCorrupt), opened(path) as store:
            store.verify()


def test_a_damaged_file_is_not_rekeyed(path: Path) -> None:
    """Rekeying reads every page: damage is StoreCorrupt, nothing is written, and the old key still opens the file."""
    content = path.read_bytes()
    for start in range(PAGE, len(content), PAGE * 9):
        flipped(path, start + 50)
        before = contents(path.parent)
        with pytest.raises(StoreCorrupt), opened(path) as store:
            store.rekey(OTHER_KEY)
        with pytest.raises(WrongKey), opened(path, OTHER_KEY):
            pass
        assert before == contents(path.parent)
        _ = path.write_bytes(content)


def test_the_plain_store_verifies_too(tmp_path: Path) -> None:
    """SQLiteStore.verify() finds what SQLite finds, and a row that is no record."""
    store = SQLiteStore(tmp_path / "x.db")
    with pytest.raises(StoreError, match="not open"):
        store.verify()
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", ROWS)
    store.verify()
    connection = store.borrow()
    _ = connection.execute("UPDATE todo SET __rest = '[' WHERE id = '0007'")
    store.give_back(connection)
    with pytest.raises(StoreCorrupt):
        store.verify()
    connection = store.borrow()
    _ = connection.execute("UPDATE todo SET __rest = '[7, [], []]' WHERE id = '0007'")
    store.give_back(connection)
    with pytest.raises(StoreCorrupt, match="no record"):
        store.verify()
    store.close()
    content = bytearray((tmp_path / "x.db").read_bytes())
    for page in range(4, len(content) // PAGE):
        content[page * PAGE : page * PAGE + 100] = b"\xa5" * 100
    _ = (tmp_path / "x.db").write_bytes(content)
    store.open([TABLE])
    with pytest.raises(StoreCorrupt, match="restore a copy"):
        store.verify()
    store.close()
