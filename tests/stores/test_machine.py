"""Any sequence of calls leaves a store with what a dict would hold, transactions rolled back included."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.stores.conftest import KEY, AnyStore
from tests.stores.strategies import TABLE, ids, queries, records
from tidesync import predicate
from tidesync.query import Query
from tidesync.records import Record, same
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore


class _Rollback(Exception):
    pass


class StoreMachine(RuleBasedStateMachine):
    """Calls in any order, compared with a dict after each."""

    store: AnyStore
    context: Any = None
    transaction: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.committed: dict[str, Record] = {}
        self.current: dict[str, Record] = {}
        self.folder = tempfile.TemporaryDirectory()

    @initialize(kind=st.sampled_from((MemoryStore, SQLiteStore, SQLCipherStore)))
    def make(self, kind: type[AnyStore]) -> None:
        path = Path(self.folder.name, "x.db")
        if kind is SQLCipherStore:
            self.store = SQLCipherStore(path, key=KEY, synchronous="normal")
        elif kind is SQLiteStore:
            self.store = SQLiteStore(path, synchronous="normal")
        else:
            self.store = MemoryStore()
        self.store.open([TABLE])

    @rule()
    @precondition(lambda self: self.transaction is None)
    def begin(self) -> None:
        self.context = self.store.transaction(write=True)
        self.transaction = self.context.__enter__()
        self.current = dict(self.committed)

    @rule(rows=st.lists(records(), max_size=10))
    @precondition(lambda self: self.transaction is not None)
    def put(self, rows: list[Record]) -> None:
        self.transaction.put(TABLE.name, rows)
        self.current.update((str(row["id"]), row) for row in rows)

    @rule(some=st.lists(ids, max_size=4))
    @precondition(lambda self: self.transaction is not None)
    def delete(self, some: list[str]) -> None:
        gone = [self.current.pop(id, None) for id in some]
        assert len([row for row in gone if row is not None]) == self.transaction.delete(TABLE.name, some)

    @rule(query=queries)
    @precondition(lambda self: self.transaction is not None)
    def delete_where(self, query: Query) -> None:
        gone = [str(row["id"]) for row in predicate.select(query, self.current.values())]
        for id in gone:
            del self.current[id]
        assert len(gone) == self.transaction.delete_where(query)

    @rule(query=queries, some=st.lists(ids, max_size=4))
    @precondition(lambda self: self.transaction is not None)
    def read(self, query: Query, some: list[str]) -> None:
        expected: Any = list(predicate.select(query, self.current.values()))
        assert same(expected, list(self.transaction.select(query)))
        assert predicate.count(query, self.current.values()) == self.transaction.count(query)
        expected = [self.current.get(id) for id in some]
        assert same(expected, self.transaction.get(TABLE.name, some))

    @rule(keep=st.booleans())
    @precondition(lambda self: self.transaction is not None)
    def end(self, keep: bool) -> None:
        if keep:
            self.context.__exit__(None, None, None)
            self.committed = self.current
        else:
            self.context.__exit__(_Rollback, _Rollback(), None)
        self.transaction = None

    @rule()
    @precondition(lambda self: self.transaction is None)
    def restart(self) -> None:
        self.store.close()
        self.store.open([TABLE])

    @invariant()
    @precondition(lambda self: hasattr(self, "store") and self.transaction is None)
    def holds_what_was_committed(self) -> None:
        with self.store.transaction(write=False) as transaction:
            found: Any = list(transaction.select(Query(TABLE.name)))
        expected: Any = sorted(self.committed.values(), key=lambda row: str(row["id"]))
        assert same(expected, found)

    def __repr__(self) -> str:
        return "StoreMachine()"

    def teardown(self) -> None:
        if self.transaction is not None:
            self.context.__exit__(_Rollback, _Rollback(), None)
        if hasattr(self, "store"):
            self.store.close()
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(stateful_step_count=20)
