"""The shortest correct store: dicts in memory. It is what other stores are compared with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final

from tidesync.contracts.store import StoreCapabilities
from tidesync.errors import InvalidQuery, SchemaMismatch, StoreBusy, StoreClosed, StoreError, UnknownTable
from tidesync.predicate import matcher, ordered, project
from tidesync.query import And, Compare, Expr, Field, Query, Value
from tidesync.records import Json, Record
from tidesync.schema import TableSchema
from tidesync.stores.checks import check_ids, check_row, fits
from tidesync.stores.turns import Turns
from tidesync.values import ColumnType

Rows = dict[str, Record]
Matches = Callable[[Record], bool]

_COMPILED_LIMIT: Final = 256


class MemoryStore:
    """A store that lives as long as the object does; closing and opening it again keeps its records.

    `busy_timeout` is how many seconds a write transaction waits for the one before it, until `StoreBusy`.
    """

    capabilities: StoreCapabilities = StoreCapabilities()

    def __init__(self, *, busy_timeout: float = 30.0) -> None:
        self.busy_timeout = busy_timeout
        self.tables: dict[str, Rows] = {}
        self.mutex = threading.Lock()
        self.turns = Turns()
        self.readers = 0
        self.active: set[int] = set()
        self.generation = 0
        self.is_open = False
        self._columns: dict[str, dict[str, ColumnType]] = {}
        self._opened: set[str] = set()
        self._compiled: dict[int, tuple[Query, Matches]] = {}

    def open(self, tables: Sequence[TableSchema]) -> None:
        me = self.enter_thread(write=True)
        try:
            for table in tables:
                known = self._columns.get(table.name, {})
                for column in table.columns:
                    if known.get(column.name, column.type) is not column.type:
                        self._check_change(table.name, column.name, known[column.name], column.type)
            for table in tables:
                columns = self._columns.setdefault(table.name, {})
                columns.update((column.name, column.type) for column in table.columns)
                with self.mutex:
                    if table.name not in self.tables:
                        self.tables = {**self.tables, table.name: {}}
            self._opened.update(table.name for table in tables)
            self.is_open = True
        finally:
            self.leave_thread(me, write=True)

    def enter_thread(self, *, write: bool) -> int:
        """Note that this thread, which is returned, has a transaction, and wait for its turn if it writes."""
        me = threading.get_ident()
        if me in self.active:
            raise StoreError("a transaction is already under way in this thread: end it first")
        if write and not self.turns.take(self.busy_timeout):
            raise StoreBusy(f"another thread has been writing for {self.busy_timeout} s: try again")
        self.active.add(me)
        return me

    def leave_thread(self, thread: int, *, write: bool) -> None:
        """The inverse of `enter_thread`; another thread may call it."""
        self.active.discard(thread)
        if write:
            self.turns.give_back()

    def _check_change(self, table: str, column: str, stored: ColumnType, declared: ColumnType) -> None:
        if not all(fits(declared, row.get(column)) for row in self.tables[table].values()):
            raise SchemaMismatch(table, column, stored.value, declared.value)

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return MemoryTransaction(self, write)

    def close(self) -> None:
        with self.mutex:
            if self.is_open:
                self.generation += 1
                self.is_open = False
                self._opened.clear()

    def check_open(self) -> None:
        """Raise `StoreClosed` unless it is open."""
        if not self.is_open:
            raise StoreClosed("the store is not open: call open() first")

    def check_table(self, table: str) -> None:
        """Raise `UnknownTable` unless the table was opened."""
        if table not in self._opened:
            raise UnknownTable(table, sorted(self._opened))

    def matches(self, query: Query) -> Matches:
        """The compiled condition of a query; a query object that comes again is not compiled again."""
        found = self._compiled.get(id(query))
        if found is None:
            if len(self._compiled) >= _COMPILED_LIMIT:
                self._compiled = {}
            # Queries that compare equal may mean different things (1 and true), so identity is the key.
            found = self._compiled[id(query)] = (query, compiled(query.where))
        return found[1]


class MemoryTransaction:
    """One transaction: a snapshot to read, and what was changed on top of it."""

    def __init__(self, store: MemoryStore, write: bool) -> None:
        self._store = store
        self._write = write
        self._live = False
        self._changes: dict[str, dict[str, Record | None]] = {}

    def __enter__(self) -> MemoryTransaction:
        store = self._store
        store.check_open()
        self._thread = store.enter_thread(write=self._write)
        try:
            with store.mutex:
                store.check_open()  # it may have been closed while this waited for its turn
                if not self._write:
                    store.readers += 1
                self._tables, self._generation = store.tables, store.generation
        except StoreClosed:
            store.leave_thread(self._thread, write=self._write)
            raise
        self._live = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        store = self._store
        closed = self._generation != store.generation
        self._live = False
        try:
            if self._write and kind is None and not closed:
                self._commit()
        finally:
            if not self._write:
                with store.mutex:
                    store.readers -= 1
            store.leave_thread(self._thread, write=self._write)
        if closed and kind is None:
            raise StoreClosed("the store was closed during the transaction; nothing was written")

    def _commit(self) -> None:
        store = self._store
        with store.mutex:
            if store.readers and self._changes:
                # Readers keep the dicts they began with.
                store.tables = {**store.tables, **{name: {**store.tables[name]} for name in self._changes}}
            for name, changes in self._changes.items():
                rows = store.tables[name]
                for id, row in changes.items():
                    if row is not None:
                        rows[id] = row
                    else:
                        _ = rows.pop(id, None)

    def _check(self, table: str, *, write: bool = False) -> None:
        if not self._live or self._generation != self._store.generation:
            raise StoreClosed("the transaction is over: begin a new one")
        if write and not self._write:
            raise StoreError("this transaction only reads: begin one with write=True")
        self._store.check_table(table)

    def _rows(self, table: str) -> Iterable[Record]:
        rows, changes = self._tables[table], self._changes.get(table)
        if not changes:
            return rows.values()
        return [row for row in {**rows, **changes}.values() if row is not None]

    def _selected(self, query: Query) -> list[Record]:
        self._check(query.table)
        matches = self._store.matches(query)
        found = [row for row in self._rows(query.table) if matches(row)]
        if len(found) > 1:
            if query.order:
                found = ordered(found, query.order)
            else:
                found.sort(key=_id)
        if query.skip or query.take is not None:
            return found[query.skip : None if query.take is None else query.skip + query.take]
        return found

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        self._check(table)
        check_ids(table, ids)
        rows, changes = self._tables[table], self._changes.get(table)
        if changes:
            found = [changes[id] if id in changes else rows.get(id) for id in ids]
        else:
            found = [rows.get(id) for id in ids]
        return [None if row is None else copied(row) for row in found]

    def select(self, query: Query) -> Iterator[Record]:
        return self._stream(query, self._selected(query))

    def _stream(self, query: Query, rows: list[Record]) -> Iterator[Record]:
        for row in rows:
            self._check(query.table)
            yield copied(project(row, query.fields))
        self._check(query.table)

    def count(self, query: Query) -> int:
        self._check(query.table)
        matches = self._store.matches(query)
        return sum(1 for row in self._rows(query.table) if matches(row))

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._check(table, write=True)
        rows: dict[str, Record] = {}
        for record in records:
            row = dict(record) if check_row(table, record) else copied(record)
            rows[row["id"]] = row  # type: ignore[index]  # check_row saw that the id is text
        self._changes.setdefault(table, {}).update(rows)

    def delete(self, table: str, ids: Sequence[str]) -> int:
        self._check(table, write=True)
        check_ids(table, ids)
        rows, changes = self._tables[table], self._changes.setdefault(table, {})
        there = [id for id in set(ids) if (changes[id] if id in changes else rows.get(id)) is not None]
        changes.update(dict.fromkeys(there))
        return len(there)

    def delete_where(self, query: Query) -> int:
        self._check(query.table, write=True)
        return self.delete(query.table, [_id(row) for row in self._selected(query)])


def _id(row: Record) -> str:
    id = row["id"]
    assert isinstance(id, str)
    return id


def copied(row: Record) -> Record:
    """A copy of a record that shares nothing mutable with it."""
    copy = row.copy()
    for key, value in row.items():
        if isinstance(value, (list, dict)):
            copy[key] = _copied(value)
    return copy


def _copied(value: list[Json] | dict[str, Json]) -> Json:
    if isinstance(value, dict):
        return {key: _copied(item) if isinstance(item, (list, dict)) else item for key, item in value.items()}
    return [_copied(item) if isinstance(item, (list, dict)) else item for item in value]


def compiled(where: Expr | None) -> Matches:
    """As `predicate.matcher`, with the commonest conditions (fields that equal text) made quick."""
    if where is None:
        return matcher(None)
    items = where.items if isinstance(where, And) else (where,)
    wanted: list[tuple[str, Json]] = []
    for item in items:
        match item:
            case Compare("eq", Field(name, kind), Value(value)) if kind is not ColumnType.DECIMAL and (
                value is None or type(value) is str
            ):
                wanted.append((name, value))
            case _:
                try:
                    return matcher(where)
                except RecursionError:
                    raise InvalidQuery("the condition is nested too deeply: make it flatter") from None
    if len(wanted) == 1:
        ((name, value),) = wanted
        return lambda row: row.get(name) == value
    return lambda row: all(row.get(name) == value for name, value in wanted)
