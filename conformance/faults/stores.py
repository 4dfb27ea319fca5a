"""A store that fails, or dies, at the calls that a plan names."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar

from tidesync.conformance.faults.plan import Calls, Fault, Faults
from tidesync.contracts.store import Store, StoreCapabilities, StoreTransaction
from tidesync.errors import StoreClosed, StoreUnavailable
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema

T = TypeVar("T")

StoreFault: TypeAlias = Literal["fail", "kill", "kill after", "sigkill", "sigkill after"]
"""How a call fails.

* "fail": `StoreUnavailable`, before the call has an effect; what the transaction did is rolled back.
* "kill": `Killed`, and the store is dead, as when its process dies before the call: what was not committed is gone,
  and every later call is `StoreClosed`.
* "kill after": the same after the call took effect: a commit is there, and nobody heard.
* "sigkill", "sigkill after": this process is really killed, by SIGKILL, before the call or after it. It is meant for
  child processes.
"""


class Killed(BaseException):
    """The process that this stands for died here; no `except Exception` survives it."""


class FaultyStore:
    """A `Store` around another one that fails where the plan says.

    Calls are counted from 1 over the whole life of this object: open, the beginning of each transaction, each call in
    one, its commit, and close. `log` tells what failed, `calls` how many there were: run once without a plan, and
    then once for each number, to fail everywhere.
    """

    def __init__(self, store: Store, faults: Faults[StoreFault] | None = None) -> None:
        self.store = store
        self._calls: Calls[StoreFault] = Calls(faults)
        self.is_dead = False

    def __repr__(self) -> str:
        return f"FaultyStore({self.store!r})"

    @property
    def capabilities(self) -> StoreCapabilities:
        """Those of the store inside."""
        return self.store.capabilities

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self._calls.count

    @property
    def log(self) -> Sequence[Fault]:
        """What failed, in order."""
        return tuple(self._calls.log)

    def open(self, tables: Sequence[TableSchema]) -> None:
        """As the store inside, unless it fails."""
        self.attempt("open", lambda: self.store.open(tables))

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        """As the store inside, unless it fails."""
        return _Block(self, self.store.transaction(write=write))

    def close(self) -> None:
        """As the store inside, unless it fails; a dead one is closed inside, too."""
        if self.is_dead:
            self.store.close()
        else:
            self.attempt("close", self.store.close)

    def attempt(self, method: str, call: Callable[[], T]) -> T:
        """Make a call, or fail in its place."""
        if self.is_dead:
            raise StoreClosed("the process of this store was killed: make another store")
        kind = self._calls.next(method)
        if kind is None:
            return call()
        if kind == "fail":
            raise StoreUnavailable(f"call {self.calls}, {method}, fails on purpose")
        if kind in ("kill after", "sigkill after"):
            _ = call()
        if kind in ("sigkill", "sigkill after"):
            os.kill(os.getpid(), signal.SIGKILL)
        self.is_dead = True
        raise Killed(f"killed at call {self.calls}, {method}")


class _Block:
    """A transaction's block: its beginning and its commit are calls, a rollback is none."""

    def __init__(self, store: FaultyStore, block: AbstractContextManager[StoreTransaction]) -> None:
        self._store, self._block = store, block
        self._begun = False

    def __enter__(self) -> StoreTransaction:
        try:
            return _Transaction(self._store, self._store.attempt("transaction", self._begin))
        except BaseException as error:
            if self._begun:
                _ = self._block.__exit__(type(error), error, error.__traceback__)
            raise

    def _begin(self) -> StoreTransaction:
        found = self._block.__enter__()
        self._begun = True
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None:
            return self._block.__exit__(kind, error, trace)
        committed = False

        def commit() -> bool | None:
            nonlocal committed
            committed = True
            return self._block.__exit__(None, None, None)

        try:
            return self._store.attempt("commit", commit)
        except BaseException as fault:
            if not committed:
                _ = self._block.__exit__(type(fault), fault, fault.__traceback__)
            raise


class _Transaction:
    """The calls of a transaction, each of which may fail."""

    def __init__(self, store: FaultyStore, transaction: StoreTransaction) -> None:
        self._store, self._transaction = store, transaction

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        return self._store.attempt("get", lambda: self._transaction.get(table, ids))

    def select(self, query: Query) -> Iterator[Record]:
        return self._store.attempt("select", lambda: self._transaction.select(query))

    def count(self, query: Query) -> int:
        return self._store.attempt("count", lambda: self._transaction.count(query))

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._store.attempt("put", lambda: self._transaction.put(table, records))

    def delete(self, table: str, ids: Sequence[str]) -> int:
        return self._store.attempt("delete", lambda: self._transaction.delete(table, ids))

    def delete_where(self, query: Query) -> int:
        return self._store.attempt("delete_where", lambda: self._transaction.delete_where(query))
