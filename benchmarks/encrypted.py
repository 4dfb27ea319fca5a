"""What encryption costs: the SQLCipher store, with the plain store as its floor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.measure import Result, compared, timed
from benchmarks.world import note, notes
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.stores.file_store import FileStore
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

SINGLES = 500
TABLE = "notes"
Work = Callable[[FileStore], object]


def results(sizes: list[int]) -> Iterator[Result]:
    """Work on both stores in turn, with full durability; and opening each, with either kind of key."""
    for size in sizes:
        yield from _work(size)
    yield from _opens()


def _work(size: int) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        raw = SQLCipherStore(Path(folder, "encrypted.db"), key=bytes(range(32)))
        plain = SQLiteStore(Path(folder, "plain.db"))
        for store in (raw, plain):
            store.open([notes(declared=True).schema])
            stack.callback(store.close)
        batch: list[Any] = [note(n) for n in range(size)]
        ids = [record["id"] for record in batch]
        page = Query(TABLE, Compare("ge", Field("n"), Value(size // 2)), (Order(Field("n")),), take=100)
        search = Query(TABLE, Compare("eq", Field("body"), Value("nothing")))
        steps: list[tuple[str, int, Work]] = [
            ("put of all, one transaction", size, _put(batch)),
            (
                "put of one, a transaction each",
                SINGLES,
                lambda store: [_put([r])(store) for r in batch[:SINGLES]],
            ),
            (
                "get of one, a transaction each",
                SINGLES,
                lambda store: [_get([id])(store) for id in ids[:SINGLES]],
            ),
            ("get of all, one transaction", size, _get(ids)),
            ("page of 100 by an index", 100, _select(page)),
            ("scan, in a store just opened", size, _cold(_select(search))),
        ]
        for name, operations, work in steps:
            yield compared(
                f"encrypted: {name}",
                size,
                operations,
                lambda work=work: timed(lambda: work(raw)),  # type: ignore[misc]
                lambda work=work: timed(lambda: work(plain)),  # type: ignore[misc]
            )


def _opens() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        plain = SQLiteStore(Path(folder, "plain.db"))
        keys: dict[str, str | bytes] = {"a raw key": bytes(range(32)), "a passphrase": "correct horse"}
        for kind, key in keys.items():
            path = Path(folder, f"{kind}.db")
            SQLCipherStore(path, key=key).open([])

            def work(path: Path = path, key: str | bytes = key) -> float:
                # A new store each time, as a new process has it: a store derives a key only once.
                return timed(lambda: _open_and_close(SQLCipherStore(path, key=key)))

            yield compared(
                f"encrypted: open and close, {kind}",
                1,
                1,
                work,
                lambda: timed(lambda: _open_and_close(plain)),
            )


def _open_and_close(store: FileStore) -> None:
    store.open([notes(declared=True).schema])
    store.close()


def _put(records: list[Any]) -> Work:
    def work(store: FileStore) -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(TABLE, records)

    return work


def _get(ids: list[str]) -> Work:
    def work(store: FileStore) -> None:
        with store.transaction(write=False) as transaction:
            assert None not in transaction.get(TABLE, ids)

    return work


def _select(query: Query) -> Work:
    def work(store: FileStore) -> None:
        with store.transaction(write=False) as transaction:
            _ = list(transaction.select(query))

    return work


def _cold(work: Work) -> Work:
    def cold(store: FileStore) -> None:
        store.close_idle()
        _ = work(store)

    return cold
