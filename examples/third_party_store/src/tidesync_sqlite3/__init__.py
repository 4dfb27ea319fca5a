"""A tidesync store on the standard library's sqlite3: each record is one JSON text under its table and id."""

import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from tidesync.contracts.store import StoreCapabilities
from tidesync.errors import (
    InvalidQuery,
    SchemaMismatch,
    StoreBusy,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    UnknownTable,
)
from tidesync.predicate import matcher, ordered, project
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores.checks import check_ids, check_row, fits

__all__ = ["Sqlite3Store"]

PAGE = 100  # rows that an iterator reads at once
STORES: "weakref.WeakSet[Sqlite3Store]" = weakref.WeakSet()

# Names of tables are values here: SQLite itself would take two that differ only in case for one.
TABLES = (
    "CREATE TABLE IF NOT EXISTS records (kept_in TEXT, id TEXT, record TEXT, PRIMARY KEY (kept_in, id))",
    "CREATE TABLE IF NOT EXISTS columns (kept_in TEXT, name TEXT, type TEXT, PRIMARY KEY (kept_in, name))",
)
ERRORS: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreBusy, "others are writing: try again"),
    sqlite3.SQLITE_FULL: (StoreFull, "make room on the disk, and try again"),
    sqlite3.SQLITE_READONLY: (StoreReadOnly, "allow this process to write the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailable, "look at the path and its permissions"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "look at the disk"),
    sqlite3.SQLITE_NOTADB: (StoreCorrupt, "it is not a store of this kind; it was not touched"),
    sqlite3.SQLITE_CORRUPT: (StoreCorrupt, "restore the file from a copy"),
}


@contextmanager
def typed_errors(path: Path) -> Iterator[None]:
    """Chain what SQLite raises under the errors of the contract."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the error without its finer part
        kind, advice = ERRORS.get(code, (StoreError, "see the cause of this error"))
        raise kind(f"{path}: {error}: {advice}") from error


class Sqlite3Transaction:
    """A transaction of SQLite. It ends with its block, with `close`, and in a process that was forked meanwhile."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, tables: frozenset[str], write: bool
    ) -> None:
        self.path, self.connection, self.tables, self.write = path, connection, tables, write
        self.process, self.closed = os.getpid(), False

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        self._check(table)
        check_ids(table, ids)
        statement = "SELECT record FROM records WHERE kept_in = ? AND id = ?"
        with typed_errors(self.path):
            found = [self.connection.execute(statement, (table, id)).fetchone() for id in ids]
        return [row and json.loads(row[0]) for row in found]

    def select(self, query: Query) -> Iterator[Record]:
        found = self._matching(query)
        return self._part(query, found)

    def count(self, query: Query) -> int:
        return sum(1 for _ in self._matching(query))

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._check(table, write=True)
        for record in records:
            check_row(table, record)
        rows = [(table, record["id"], json.dumps(record)) for record in records]
        with typed_errors(self.path):
            self.connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows)

    def delete(self, table: str, ids: Sequence[str]) -> int:
        self._check(table, write=True)
        check_ids(table, ids)
        statement = "DELETE FROM records WHERE kept_in = ? AND id = ?"
        with typed_errors(self.path):
            return sum(self.connection.execute(statement, (table, id)).rowcount for id in ids)

    def delete_where(self, query: Query) -> int:
        self._check(query.table, write=True)
        return self.delete(query.table, [str(record["id"]) for record in self.select(query)])

    def check_live(self) -> None:
        if self.closed or self.process != os.getpid():
            raise StoreClosed("the transaction is over: begin a new one")

    def _check(self, table: str, *, write: bool = False) -> None:
        self.check_live()
        if write and not self.write:
            raise StoreError("this transaction only reads: begin one with write=True")
        if table not in self.tables:
            raise UnknownTable(table, sorted(self.tables))

    def _matching(self, query: Query) -> Iterator[Record]:
        """What matches, by id; what is wrong with the query is raised at once."""
        self._check(query.table)
        try:
            matches = matcher(query.where)
        except RecursionError:
            raise InvalidQuery("the condition is nested too deeply: make it flatter") from None
        return filter(matches, self._scan(query.table))

    def _scan(self, table: str) -> Iterator[Record]:
        """All records by id, which sorts by code point. No statement of SQLite stays open between two pages."""
        statement = "SELECT id, record FROM records WHERE kept_in = ? AND id > ? ORDER BY id LIMIT ?"
        last = ""  # no id is empty
        while True:
            self.check_live()
            with typed_errors(self.path):
                page = self.connection.execute(statement, (table, last, PAGE)).fetchall()
            for _, record in page:
                self.check_live()
                yield json.loads(record)
            if len(page) < PAGE:
                return
            last = page[-1][0]

    def _part(self, query: Query, found: Iterator[Record]) -> Iterator[Record]:
        if query.order:
            found = iter(ordered(found, query.order))
        for record in islice(islice(found, query.skip, None), query.take):
            self.check_live()
            yield project(record, query.fields)
        self.check_live()


class Sqlite3Store:
    """Records in one SQLite file, for any number of threads and processes.

    A writer waits `busy_timeout` seconds for others, then it is `StoreBusy`. SQLite cannot take its connections
    through a fork: a store that was open then is `StoreClosed` in the child.
    """

    capabilities = StoreCapabilities(durable=True, multiprocess=True)

    def __init__(self, path: str | Path, *, busy_timeout: float = 30.0) -> None:
        self._path, self._busy_timeout = Path(path).absolute(), busy_timeout
        self._tables: frozenset[str] | None = None  # None while it is closed
        self._process: int | None = None
        self._lock = threading.Lock()  # guards what follows, and a commit against `close`
        self._idle: list[sqlite3.Connection] = []
        self._busy: set[int] = set()  # threads
        self._live: set[Sqlite3Transaction] = set()
        STORES.add(self)

    def open(self, tables: Sequence[TableSchema]) -> None:
        with self._connection() as connection:
            with typed_errors(self._path):
                self._use_wal(connection)
                connection.execute("BEGIN IMMEDIATE")
                for statement in TABLES:
                    connection.execute(statement)
                for table in tables:
                    for column in table.columns:
                        self._declare(connection, table.name, column)
                connection.execute("COMMIT")
            with self._lock:
                self._process = os.getpid()
                self._tables = (self._tables or frozenset()) | {table.name for table in tables}

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Sqlite3Transaction]:
        self._opened()  # a store that is not open makes no file
        with self._connection() as connection:
            with typed_errors(self._path):
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            with self._lock:
                transaction = Sqlite3Transaction(self._path, connection, self._opened(), write)
                self._live.add(transaction)
            try:
                yield transaction
                with self._lock, typed_errors(self._path):
                    transaction.check_live()
                    connection.execute("COMMIT")
            finally:
                transaction.closed = True
                with self._lock:
                    self._live.discard(transaction)

    def close(self) -> None:
        if self._forked():
            return  # all of it is the parent's
        with self._lock:
            self._tables = self._process = None
            for transaction in self._live:
                transaction.closed = True  # its own thread takes it back
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that wait for work."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _opened(self) -> frozenset[str]:
        if self._tables is None:
            raise StoreClosed("the store is not open: call open() first")
        return self._tables

    def _forked(self) -> bool:
        return self._process not in (None, os.getpid())

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone; what the block did not commit is rolled back."""
        if self._forked():
            raise StoreClosed(
                "the process was forked while the store was open: use `spawn`, and a store of its own"
            )
        me = threading.get_ident()
        if me in self._busy:
            raise StoreError("a transaction is already under way in this thread: end it first")
        with typed_errors(self._path), self._lock:
            connection = self._idle.pop() if self._idle else self._connect()
        self._busy.add(me)
        try:
            yield connection
        finally:
            self._busy.discard(me)
            self._take_back(connection)

    def _take_back(self, connection: sqlite3.Connection) -> None:
        if self._forked():
            self._idle.append(connection)  # closing it would undo what the parent is doing with it
            return
        with suppress(sqlite3.Error):
            connection.rollback()
        with self._lock:
            if self._tables is None or connection.in_transaction:
                connection.close()
            else:
                self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Let readers keep what they began with. SQLite does not wait by itself when two processes do this at once."""
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _declare(self, connection: sqlite3.Connection, table: str, column: Column) -> None:
        """Remember a column's type; nothing else has to change when columns come and go."""
        key = (table, column.name)
        row = connection.execute("SELECT type FROM columns WHERE kept_in = ? AND name = ?", key).fetchone()
        if row and row[0] != column.type.value:
            for (text,) in connection.execute("SELECT record FROM records WHERE kept_in = ?", (table,)):
                if not fits(column.type, json.loads(text).get(column.name)):
                    raise SchemaMismatch(table, column.name, row[0], column.type.value)
        connection.execute("INSERT OR REPLACE INTO columns VALUES (?, ?, ?)", (*key, column.type.value))


def _before_fork() -> None:
    """Leave the child no connection: with one, SQLite there would read the parent's log where it is no more."""
    for store in tuple(STORES):
        store.close_idle()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork)
