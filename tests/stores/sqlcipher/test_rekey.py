"""Another key for the same records: at once, or not at all."""

import random
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stores.sqlcipher import worker
from tests.stores.sqlcipher.support import (
    KEY,
    KEYS,
    OTHER_KEY,
    PASSPHRASE,
    ROWS,
    SOAK,
    TABLE,
    Child,
    held,
    made,
    opened,
    rows_of,
)
from tidesync.errors import (
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreUnavailable,
    WrongKey,
)
from tidesync.query import Query
from tidesync.stores.keys import Key, KeySource
from tidesync.stores.sqlcipher import SQLCipherStore

KILLS = 500 if SOAK else 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    made(path)
    return path


@pytest.mark.parametrize(
    "new", [OTHER_KEY, PASSPHRASE, lambda: PASSPHRASE], ids=["raw", "passphrase", "function"]
)
def test_the_new_key_opens_the_file_and_the_old_one_does_not(path: Path, new: KeySource) -> None:
    """After rekey the same store goes on, reopens by itself, and the file knows only the new key."""
    store = SQLCipherStore(path, key=KEY)
    store.open([TABLE])
    store.rekey(new)
    assert ROWS == held(store)
    store.verify()
    with pytest.raises(WrongKey):
        rows_of(path, KEY)
    store.close()
    store.open([TABLE])
    assert ROWS == held(store)
    store.rekey(KEY)
    store.close()
    assert ROWS == rows_of(path, KEY)


def test_no_page_under_the_old_key_is_left(path: Path) -> None:
    """When nobody reads, rekey leaves no page as it was, neither in the file nor in its log."""
    before = path.read_bytes()
    with opened(path) as store:
        store.rekey(OTHER_KEY)
        assert not Path(f"{path}-wal").exists()
    after = path.read_bytes()
    assert before[:16] == after[:16]  # the salt, which is no secret
    pages = [before[start : start + 64] for start in range(4_096, len(before), 4_096)]
    assert [] == [page for page in pages if page in after]


def test_a_function_is_asked_again_at_the_next_open(path: Path) -> None:
    """Where the key comes from a function, that has to give the new one from then on."""
    keys = {"now": KEY}
    store = SQLCipherStore(path, key=lambda: keys["now"])
    store.open([TABLE])
    store.rekey(OTHER_KEY)
    assert ROWS == held(store)
    store.close()
    with pytest.raises(WrongKey):
        store.open([TABLE])
    keys["now"] = OTHER_KEY
    store.open([TABLE])
    store.close()


def test_a_reader_goes_on_and_other_stores_are_told(path: Path) -> None:
    """A reading transaction ends with what it began with; the next one of another store is WrongKey, for good."""
    with opened(path) as store, opened(path) as other:
        with other.transaction(write=False) as transaction:
            rows = transaction.select(Query("todo"))
            first = next(rows)
            thread = threading.Thread(target=store.rekey, args=(Key(OTHER_KEY),))
            thread.start()
            thread.join()
            assert ROWS == [first, *rows]
        for write in (False, True, True):
            with pytest.raises(WrongKey), other.transaction(write=write):
                pass
        assert ROWS == held(store)
        with store.transaction(write=True) as transaction:
            transaction.put("todo", [{"id": "new"}])
    assert [*ROWS, {"id": "new"}] == rows_of(path, OTHER_KEY)


def test_a_reader_of_the_same_store_goes_on(path: Path) -> None:
    """Transactions of the store itself that began before end well, and its next ones use the new key."""
    with opened(path) as store:
        began, go_on = threading.Event(), threading.Event()
        found: list[object] = []

        def read() -> None:
            with store.transaction(write=False) as transaction:
                assert len(ROWS) == transaction.count(Query("todo"))
                began.set()
                assert go_on.wait(10)
                found.extend(transaction.select(Query("todo")))

        thread = threading.Thread(target=read)
        thread.start()
        assert began.wait(10)
        store.rekey(OTHER_KEY)
        go_on.set()
        thread.join()
        assert ROWS == found
        for _ in range(3):
            assert ROWS == held(store)


def test_a_writer_elsewhere_keeps_the_old_key(path: Path) -> None:
    """While another one writes for too long, rekey is StoreBusy, and the old key stays."""
    with opened(path, busy_timeout=0.1) as store, opened(path) as other:
        blocker = other.borrow()
        _ = blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            store.rekey(OTHER_KEY)
        _ = blocker.execute("ROLLBACK")
        other.give_back(blocker)
        assert ROWS == held(store)
    assert ROWS == rows_of(path, KEY)


def test_a_full_disk_keeps_the_old_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever rekey reports, what the file says counts: a failure in the middle leaves the old key."""

    def fail(connection: object, key: Key) -> None:
        raise store.file.driver.error("database or disk is full")

    with opened(path) as store:
        monkeypatch.setattr("tidesync.stores.sqlcipher.rekey", fail)
        with pytest.raises(StoreError, match="full"):
            store.rekey(OTHER_KEY)
        assert ROWS == held(store)
    assert ROWS == rows_of(path, KEY)


def test_a_disk_that_fails_is_not_another_writer(path: Path) -> None:
    """SQLCipher does not say when the new pages cannot be written: the user is told of the disk, and keeps the key."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path, busy_timeout=0.1) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, before[1]))
        try:
            with pytest.raises((StoreUnavailable, StoreFull)):
                store.rekey(OTHER_KEY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert ROWS == held(store)
        store.verify()
    assert ROWS == rows_of(path, KEY)


def test_readers_of_the_same_store_do_not_notice(path: Path) -> None:
    """A reading transaction that begins while its own store is rekeyed has the old key or the new one, never none."""
    with opened(path) as store:
        done = threading.Event()
        told: list[object] = []

        def read() -> None:
            while not done.is_set():
                try:
                    with store.transaction(write=False) as transaction:
                        told.append(transaction.count(Query("todo")))
                except StoreError as error:
                    told.append(error)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for key in (OTHER_KEY, PASSPHRASE, KEY):
                store.rekey(key)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert {len(ROWS)} == set(told)


def test_a_reader_with_another_key_waits_for_nobody_for_ever(path: Path) -> None:
    """A reader whose key was changed elsewhere is WrongKey, also while another thread of its process writes."""
    with opened(path) as store, opened(path, busy_timeout=0.1) as other:
        store.rekey(OTHER_KEY)
        with ThreadPoolExecutor(1) as pool, store.transaction(write=True):
            assert WrongKey is type(pool.submit(_failure, other).exception())


def _failure(store: SQLCipherStore) -> None:
    with store.transaction(write=False):
        pass


def test_rekey_needs_an_open_store_and_no_transaction(path: Path) -> None:
    """A closed store is StoreClosed; inside a transaction of the same thread it is refused, and nothing changes."""
    with pytest.raises(StoreClosed, match="open"):
        SQLCipherStore(path, key=KEY).rekey(OTHER_KEY)
    with opened(path) as store:
        for write in (False, True):
            with store.transaction(write=write), pytest.raises(StoreError, match="already under way"):
                store.rekey(OTHER_KEY)
    assert ROWS == rows_of(path, KEY)


def test_rekey_killed_at_any_moment_leaves_exactly_one_key(path: Path) -> None:
    """After SIGKILL the file opens with one of the two keys, never both or none; every record is as it was, and what
    another process wrote meanwhile, with whichever key, is all there."""
    chance = random.Random(21)
    writer = Child(worker.log, path)
    now = "first"
    for _ in range(KILLS):
        process = Child(worker.rekey, path, now)
        assert f"{now}\n" == process.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        told = process.kill()
        opens = [name for name in KEYS if _opens(path, KEYS[name])]
        assert 1 == len(opens), (now, told)
        # One change may have been made without the time to say so; none that was told is undone.
        now = opens[0]
        with opened(path, KEYS[now]) as store:
            assert ROWS == [row for row in held(store) if not str(row["id"]).startswith("log")]
            store.verify()
    numbers = list(map(int, writer.kill()))
    written = [row["id"] for row in rows_of(path, KEYS[now]) if str(row["id"]).startswith("log")]
    assert numbers
    assert {f"log {number}" for number in numbers} <= set(written)


def _opens(path: Path, key: bytes) -> bool:
    try:
        with opened(path, key, busy_timeout=60.0) as store, store.transaction(write=False) as transaction:
            return len(ROWS) <= transaction.count(Query("todo"))
    except WrongKey:
        return False


@pytest.mark.parametrize("step", range(3))
def test_each_step_of_rekey_may_be_the_last(path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception between any two steps leaves a store, and a file, with exactly one key."""
    names = ["_write_anew", "_opens_with", "_move_log"]
    original: Callable[..., object] = getattr(SQLCipherStore, names[step])

    def stop(self: SQLCipherStore, *arguments: object) -> object:
        _ = original(self, *arguments)
        raise KeyboardInterrupt

    with opened(path) as store:
        monkeypatch.setattr(SQLCipherStore, names[step], stop)
        with pytest.raises(KeyboardInterrupt):
            store.rekey(OTHER_KEY)
    assert [False, True] == [_opens(path, KEY), _opens(path, OTHER_KEY)]
