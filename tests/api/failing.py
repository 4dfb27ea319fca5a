"""A store that fails when told to, between two statements of a transaction."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tidesync.contracts.store import Store, StoreCapabilities, StoreTransaction
from tidesync.errors import StoreFull
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema


class FailingStore:
    """Passes everything on; the write that brings `fuse` to 0 raises instead, and so do those after it."""

    def __init__(self, inner: Store, error: Exception | None = None) -> None:
        self.inner = inner
        self.error: Exception = error or StoreFull("the disk is full")
        self.fuse: int | None = None

    @property
    def capabilities(self) -> StoreCapabilities:
        return self.inner.capabilities

    def open(self, tables: Sequence[TableSchema]) -> None:
        self.inner.open(tables)

    def close(self) -> None:
        self.inner.close()

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        return self._transaction(write)

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[StoreTransaction]:
        with self.inner.transaction(write=write) as transaction:
            yield _Failing(transaction, self)
            if write:
                self.burn()

    def burn(self) -> None:
        """One step of writing is about to be done; a commit is the last."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                raise self.error


class _Failing:
    def __init__(self, inner: StoreTransaction, store: FailingStore) -> None:
        self._inner, self._store = inner, store

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        return self._inner.get(table, ids)

    def select(self, query: Query) -> Iterator[Record]:
        return self._inner.select(query)

    def count(self, query: Query) -> int:
        return self._inner.count(query)

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._store.burn()
        self._inner.put(table, records)

    def delete(self, table: str, ids: Sequence[str]) -> int:
        self._store.burn()
        return self._inner.delete(table, ids)

    def delete_where(self, query: Query) -> int:
        self._store.burn()
        return self._inner.delete_where(query)


def contents(store: Store, tables: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """All that is in these tables."""
    with store.transaction(write=False) as transaction:
        return {name: list(transaction.select(Query(name))) for name in tables}
