"""One encrypted file used by several threads and processes, through forks."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stores.sqlcipher import worker
from tests.stores.sqlcipher.support import PASSPHRASE, ROWS, finish, held, made, opened, rows_of, start
from tidesync.stores.keys import KeySource
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlcipher_driver import CipherConnection


@pytest.mark.parametrize("key", ["first", PASSPHRASE], ids=["raw", "passphrase"])
def test_processes_and_threads_share_a_new_file(tmp_path: Path, key: str) -> None:
    """Processes and threads make, open, read and write one file at once and lose no write, with any kind of key."""
    path = tmp_path / "x.db"
    processes = [start("add", path, 10, key) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        _ = list(pool.map(worker.add, [str(path)] * 3, ["10"] * 3, [key] * 3))
    finish(*processes)
    assert [{"id": "sum", "number": 60}] == rows_of(path, worker.KEYS.get(key, key))


@pytest.mark.parametrize("key", [worker.KEYS["first"], PASSPHRASE], ids=["raw", "passphrase"])
def test_a_store_works_in_a_forked_child(tmp_path: Path, key: KeySource) -> None:
    """After a fork, child and parent both use the store: the child with connections of its own, and the same key."""
    path = tmp_path / "x.db"
    made(path, key)
    store = SQLCipherStore(path, key=key, busy_timeout=5.0)
    store.open([worker.TABLE])
    assert ROWS == held(store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            with store.transaction(write=True) as transaction:
                transaction.put("todo", [{"id": "child"}])
            found = len(held(store))
            store.close()
            os._exit(0 if found == len(ROWS) + 1 else 1)
        except BaseException:
            os._exit(2)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "parent"}])
    store.close()
    assert [*ROWS, {"id": "child"}, {"id": "parent"}] == rows_of(path, key)


def test_threads_that_close_at_once_close_each_connection_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Close, in the middle of another close, leaves that its connections, and raises nothing."""
    made(tmp_path / "x.db")
    store = SQLCipherStore(tmp_path / "x.db", key=worker.KEYS["first"])
    store.open([worker.TABLE])
    connections = [store.borrow() for _ in range(3)]
    for connection in connections:
        store.give_back(connection)
    assert store.is_in_use
    close, closed = CipherConnection.close, list[CipherConnection]()

    def slow(connection: CipherConnection, force: bool = False) -> None:
        closed.append(connection)
        if len(closed) == 1:
            store.close()
        close(connection, force)

    monkeypatch.setattr(CipherConnection, "close", slow)
    store.close()
    assert len(closed) == len(set(closed))
    assert not store.is_in_use


def test_a_passphrase_is_derived_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deriving a key takes a tenth of a second: a store does it once, however many connections it makes."""
    from tidesync.stores.keys import Key

    derive, derived = Key._derive, list[int]()

    def counted(self: Key, salt: bytes) -> str:
        derived.append(1)
        return derive(self, salt)

    monkeypatch.setattr(Key, "_derive", counted)
    made(tmp_path / "x.db", PASSPHRASE)
    derived.clear()
    with opened(tmp_path / "x.db", PASSPHRASE) as store:
        connections = [store.borrow() for _ in range(10)]
        for connection in connections:
            store.give_back(connection)
    assert [1] == derived
