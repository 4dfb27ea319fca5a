"""A process of its own, for the tests of the encrypted store: `worker.py command path …`."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.stores.sqlcipher.support import KEYS, TABLE
from tidesync.errors import StoreBusy, WrongKey
from tidesync.query import Field, Order, Query
from tidesync.records import Record
from tidesync.stores.encryption import decrypt_file, encrypt_file
from tidesync.stores.keys import KeySource
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore


def tell(what: object) -> None:
    """A line for whoever started this process."""
    _ = sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _opened(path: str, key: KeySource) -> SQLCipherStore:
    store = SQLCipherStore(path, key=key, busy_timeout=60.0)
    store.open([TABLE])
    return store


def add(path: str, times: str, key: str) -> None:
    """Add one to a counter, so many times; open the file anew now and then."""
    store = _opened(path, KEYS.get(key, key))
    for n in range(int(times)):
        with store.transaction(write=True) as transaction:
            (row,) = transaction.get(TABLE.name, ["sum"])
            number = row["number"] if row else 0
            assert isinstance(number, int)
            transaction.put(TABLE.name, [{"id": "sum", "number": number + 1}])
        if n % 10 == 9:
            store.close()
            store = _opened(path, KEYS.get(key, key))
    store.close()


def rekey(path: str, now: str) -> None:
    """Change the key for ever, telling each when it is done."""
    names = [now, *(name for name in KEYS if name != now)]
    store = _opened(path, KEYS[names[0]])
    tell(names[0])
    while True:
        names.reverse()
        try:
            store.rekey(KEYS[names[0]])
        except StoreBusy:
            names.reverse()
        tell(names[0])


def log(path: str) -> None:
    """Write numbers for ever, telling each when it is committed, with whichever key opens the file."""
    store: SQLCipherStore | None = None
    keys = list(KEYS.values())
    number = 0
    while True:
        try:
            if store is None:
                store = _opened(path, keys[0])
                with store.transaction(write=False) as transaction:
                    number = transaction.count(Query(TABLE.name))
            with store.transaction(write=True) as transaction:
                transaction.put(TABLE.name, [{"id": f"log {number}", "text": "x" * 100}])
        except WrongKey:
            if store is not None:
                store.close()
            store = None
            keys.reverse()
        else:
            tell(number)
            number += 1
            time.sleep(0.003)  # SQLite has no queue: a process that always writes starves others


def convert(path: str, now: str) -> None:
    """Encrypt and decrypt a file in place for ever, telling which it is when that is done."""
    while True:
        tell(now)
        if now == "plain":
            encrypt_file(path, path, KEYS["first"])
            now = "encrypted"
        else:
            decrypt_file(path, path, KEYS["first"])
            now = "plain"


def write(path: str, kind: str, needle: str) -> None:
    """Have the needle everywhere in a store, for ever: ids, values, fields; sorted, rolled back, spilled, deleted."""
    encrypted = kind == "encrypted"
    store = SQLCipherStore(path, key=KEYS["first"]) if encrypted else SQLiteStore(path)
    store.open([TABLE])
    rows: list[Record] = [
        {"id": f"{needle} {n:05}", "text": f"{needle}{n}" * 40, f"{needle} field": [needle]}
        for n in range(8_000)
    ]
    tell("began")
    for turn in range(sys.maxsize):
        with store.transaction(write=True) as transaction:
            transaction.put(TABLE.name, rows)  # more than the cache holds
        with store.transaction(write=False) as transaction:
            tell(sum(1 for _ in transaction.select(_SORTED)))
        try:
            with store.transaction(write=True) as transaction:
                transaction.delete_where(Query(TABLE.name))
                raise KeyboardInterrupt  # rolled back
        except KeyboardInterrupt:
            pass
        with store.transaction(write=True) as transaction:
            transaction.delete(TABLE.name, [str(row["id"]) for row in rows[turn % 2 :: 2]])
        if turn % 3 == 2:
            store.close()
            store.open([TABLE])


_SORTED = Query(TABLE.name, order=(Order(Field("more"), descending=True), Order(Field("text"))))

if __name__ == "__main__":
    {"add": add, "rekey": rekey, "log": log, "convert": convert, "write": write}[sys.argv[1]](*sys.argv[2:])
