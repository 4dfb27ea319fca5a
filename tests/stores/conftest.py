"""Stores to test: the rules of the contract are tested on all of them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

AnyStore: TypeAlias = MemoryStore | SQLiteStore | SQLCipherStore
KEY = bytes(range(32))


@pytest.fixture(params=("memory", "sqlite", "sqlcipher"))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., AnyStore]]:
    """Makes a store that is not open yet; all are closed at the end."""
    made: list[AnyStore] = []

    def make_one(**options: float) -> AnyStore:
        store: AnyStore
        if request.param == "memory":
            store = MemoryStore(**options)
        elif request.param == "sqlcipher":
            store = SQLCipherStore(tmp_path / f"{len(made)}.db", key=KEY, synchronous="normal", **options)
        else:
            store = SQLiteStore(tmp_path / f"{len(made)}.db", synchronous="normal", **options)
        made.append(store)
        return store

    yield make_one
    for store in made:
        store.close()


@pytest.fixture
def store(make: Callable[..., AnyStore]) -> AnyStore:
    """One store that is not open yet."""
    return make()


if sys.platform == "win32":  # pragma: no cover
    collect_ignore = ["test_sqlite_processes.py"]
