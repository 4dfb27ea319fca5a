"""The SQLite store: one file, written by any number of threads and processes."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

import apsw

from tidesync.contracts.store import StoreCapabilities
from tidesync.errors import (
    ConfigurationError,
    InvalidQuery,
    StoreBusy,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    UnknownTable,
)
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.checks import check_ids
from tidesync.stores.sql.compile import Compiled, compile_query
from tidesync.stores.sql.ddl import COUNTER, ODD, quoted
from tidesync.stores.sql.migrations import Cursor, changed, read_layouts, upgrade
from tidesync.stores.sql.rows import Codec, Decode
from tidesync.stores.sqlite_file import Connection, File, check_file, connect, create, translated
from tidesync.stores.turns import Turns

Synchronous = Literal["full", "normal"]

_IDLE_LIMIT: Final = 8
_ID_CHUNKS: Final = (1, 8, 64, 512)
_BATCHES: Final = (8, 64, 512)
_LAYOUTS_LIMIT: Final = 4

_turns: dict[tuple[int, str], Turns] = {}
"""One queue of writers for each file, shared by all stores of this process."""
_turns_lock = threading.Lock()
_inherited: list[object] = []
"""Connections opened before a fork: the child must neither use nor close them, so they are kept for ever."""


class SQLiteStore:
    """Records in one SQLite file, safe for several threads and processes.

    `synchronous` "full" makes an acknowledged write survive power loss; with "normal" the last ones may
    be lost then, and the file is never harmed. `busy_timeout` is how many seconds a writer waits for others,
    until `StoreBusy`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        busy_timeout: float = 30.0,
    ) -> None:
        name = os.fspath(path)
        if name in ("", ":memory:") or "\0" in name:
            raise ConfigurationError(
                f"{name!r} is not the path of a file; MemoryStore keeps records in memory"
            )
        if synchronous not in ("full", "normal"):
            raise ConfigurationError(f'synchronous is "full" or "normal", not {synchronous!r}')
        self.file: Final = File(str(Path(name).absolute()), synchronous, busy_timeout)
        self.capabilities: Final = StoreCapabilities(durable=synchronous == "full", multiprocess=True)
        self.active: set[int] = set()
        self.generation = 0
        self._mutex = threading.Lock()
        self._idle: list[Connection] = []
        self._pid = os.getpid()
        self._codecs: dict[int, dict[str, Codec]] = {}
        self._opened: frozenset[str] = frozenset()
        self._is_open = False

    def __repr__(self) -> str:
        return f"SQLiteStore({self.file.path!r})"

    def open(self, tables: Sequence[TableSchema]) -> None:
        self.check_fork()
        self.enter_thread()
        try:
            self._take_turn()
            try:
                self._open(tables)
            finally:
                self._turns().give_back()
        finally:
            self.leave_thread()

    def _open(self, tables: Sequence[TableSchema]) -> None:
        if not self._is_open:
            check_file(self.file)
            create(self.file)
        connection = self.lease()
        try:
            with translated(self.file):
                _ = self._begin(connection, write=False)
                pending = changed(read_layouts(connection), tables)
                _ = connection.execute("COMMIT")
                if pending:
                    _ = self._begin(connection, write=True)
                    upgrade(connection, tables)
                    _ = connection.execute("COMMIT")
            with self._mutex:
                self._opened |= {table.name for table in tables}
                self._codecs = {}
                self._is_open = True
        finally:
            self.give_back(connection)

    def transaction(self, *, write: bool) -> SQLiteTransaction:
        return SQLiteTransaction(self, write)

    def close(self) -> None:
        self.check_fork()
        with self._mutex:
            idle, self._idle = self._idle, []
            if self._is_open:
                self.generation += 1
            self._is_open, self._opened, self._codecs = False, frozenset(), {}
        for connection in idle:
            with translated(self.file):
                connection.close()

    # What follows is for the transactions of this store.

    def check_fork(self) -> None:
        """Leave the parent's connections and locks behind in a child process."""
        if self._pid != os.getpid():
            _inherited.append(self._idle)
            self._idle, self._mutex, self.active = [], threading.Lock(), set()
            self._pid = os.getpid()

    def enter_thread(self) -> None:
        """Note that this thread has a transaction; raises `StoreError` if it has one already."""
        me = threading.get_ident()
        if me in self.active:
            raise StoreError("a transaction is already under way in this thread: end it first")
        self.active.add(me)

    def leave_thread(self) -> None:
        """The inverse of `enter_thread`."""
        self.active.discard(threading.get_ident())

    def _turns(self) -> Turns:
        key = (self._pid, self.file.path)
        turns = _turns.get(key)
        if turns is None:
            with _turns_lock:
                turns = _turns.setdefault(key, Turns())
        return turns

    def _take_turn(self) -> None:
        if not self._turns().take(self.file.busy_timeout):
            raise StoreBusy(
                f"{self.file.path}: another thread has been writing for {self.file.busy_timeout} s: try again"
            )

    def begin(self, *, write: bool) -> tuple[Connection, dict[str, Codec]]:
        """A connection with a transaction begun, and the codecs for what it sees."""
        if not self._is_open:
            raise StoreClosed(f"{self.file.path}: the store is not open: call open() first")
        if write:
            self._take_turn()
        try:
            connection = self.lease()
            try:
                with translated(self.file):
                    codecs = self._begin(connection, write=write)
            except BaseException:
                self.give_back(connection)
                raise
        except BaseException:
            if write:
                self._turns().give_back()
            raise
        return connection, codecs

    def end(self, connection: Connection, *, write: bool) -> None:
        """Give back what `begin` took."""
        self.give_back(connection)
        if write:
            self._turns().give_back()

    def lease(self) -> Connection:
        """An idle connection, or a new one."""
        with suppress(IndexError):
            return self._idle.pop()
        return connect(self.file)

    def give_back(self, connection: Connection) -> None:
        """End a connection's transaction, if it still has one, and keep it for the next."""
        with suppress(apsw.Error):
            if connection.in_transaction:
                _ = connection.execute("ROLLBACK")
            with self._mutex:
                if self._is_open and len(self._idle) < _IDLE_LIMIT:
                    self._idle.append(connection)
                    return
        with suppress(apsw.Error):
            connection.close(True)

    def _begin(self, connection: Connection, *, write: bool) -> dict[str, Codec]:
        _ = connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        # This read also fixes the state that a reading transaction sees.
        row = connection.execute(COUNTER).fetchone()
        if row is None:
            raise StoreCorrupt(f"{self.file.path}: the list of tables is missing: restore a copy of the file")
        codecs = self._codecs.get(row[0])
        if codecs is None:
            layouts = read_layouts(connection)
            codecs = {name: Codec(layouts[name]) for name in self._opened if name in layouts}
            with self._mutex:
                kept = dict(itertools.islice(reversed(self._codecs.items()), _LAYOUTS_LIMIT - 1))
                self._codecs = {**kept, row[0]: codecs}
        return codecs


class _Rows:
    """An open statement of a transaction."""

    __slots__ = ("members", "source", "table")

    def __init__(self, table: str, source: Iterator[Any], compiled: Compiled) -> None:
        self.table, self.source, self.members = table, source, compiled.members


class SQLiteTransaction:
    """One transaction, on a connection of its own."""

    def __init__(self, store: SQLiteStore, write: bool) -> None:
        self._store = store
        self._write = write
        self._live = False
        self._failure: StoreError | None = None
        self._running: dict[_Rows, None] = {}
        self._odd: dict[str, frozenset[str]] = {}

    def __enter__(self) -> SQLiteTransaction:
        store = self._store
        store.check_fork()
        store.enter_thread()
        try:
            self._generation, self._pid = store.generation, os.getpid()
            self._connection, self._codecs = store.begin(write=self._write)
        except BaseException:
            store.leave_thread()
            raise
        self._live = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        store = self._store
        self._live = False
        if self._pid != os.getpid():
            _inherited.append(self._connection)
            return
        try:
            for rows in self._running:
                self._stop(rows)
            if kind is None:
                if self._failure is not None:
                    raise StoreError("an error before this ended the transaction; nothing was written") from (
                        self._failure
                    )
                if self._generation != store.generation:
                    raise StoreClosed("the store was closed during the transaction; nothing was written")
                with translated(store.file):
                    _ = self._connection.execute("COMMIT")
        finally:
            store.end(self._connection, write=self._write)
            store.leave_thread()

    @staticmethod
    def _stop(rows: _Rows) -> None:
        cursor = rows.source
        if isinstance(cursor, apsw.Cursor):
            with suppress(apsw.Error):
                cursor.close(True)

    def _codec(self, table: str, *, write: bool = False) -> Codec:
        if not self._live or self._generation != self._store.generation or self._pid != os.getpid():
            raise StoreClosed("the transaction is over: begin a new one")
        if self._failure is not None:
            raise StoreError(
                "an error ended this transaction: leave it, and begin a new one"
            ) from self._failure
        if write and not self._write:
            raise StoreError("this transaction only reads: begin one with write=True")
        codec = self._codecs.get(table)
        if codec is None:
            raise UnknownTable(table, sorted(self._codecs))
        if write:
            for rows in self._running:
                if rows.table == table:
                    # Who still iterates sees the rows as they were.
                    rows.source = iter(list(rows.source))
        return codec

    def _execute(self, sql: str, parameters: Sequence[Any]) -> Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except apsw.Error as error:
            raise self._failed(error) from error
        except UnicodeEncodeError as error:
            raise InvalidQuery("a text with a lone surrogate equals nothing that can be stored") from error

    def _failed(self, error: apsw.Error) -> StoreError:
        """The typed form of a driver's error. After it nothing of the transaction may be kept."""
        self._failure = self._store.file.typed(error)
        return self._failure

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        codec = self._codec(table)
        check_ids(table, ids)
        found: dict[str, Any] = {}
        unique = ids if len(ids) < 2 else list(dict.fromkeys(ids))
        for start, size in _chunks(len(unique)):
            chunk = [*unique[start : start + size]]
            chunk += chunk[-1:] * (size - len(chunk))
            for row in self._execute(codec.get(size), chunk):
                found[row[0]] = row
        decode = codec.decode
        return [decode(found[id]) if id in found else None for id in ids]

    def _compile(self, codec: Codec, query: Query) -> Compiled:
        return compile_query(query, codec.layout, lambda: self._odd_columns(codec))

    def _odd_columns(self, codec: Codec) -> frozenset[str]:
        """The columns of a table that hold values which SQLite sorts in its own way."""
        table = codec.layout.table
        if table not in self._odd:
            mark, names = quoted(ODD), frozenset[str]()
            last = ""
            sql = f"SELECT {mark} FROM {codec.table} WHERE {mark} > ? ORDER BY {mark} LIMIT 1"
            while row := self._execute(sql, (last,)).fetchone():
                last = row[0]
                names |= codec.marked(last)
            self._odd[table] = names
        return self._odd[table]

    def select(self, query: Query) -> Iterator[Record]:
        codec = self._codec(query.table)
        compiled = self._compile(codec, query)
        columns, decode = (codec.columns, codec.decode) if query.fields is None else codec.part(query.fields)
        cursor = self._execute(f"SELECT {columns} FROM {codec.table}{compiled.tail}", compiled.parameters)
        rows = _Rows(query.table, cursor, compiled)
        self._running[rows] = None
        return self._stream(rows, decode)

    def _stream(self, rows: _Rows, decode: Decode) -> Iterator[Record]:
        try:
            for size in itertools.chain(_BATCHES, itertools.repeat(_BATCHES[-1])):
                try:
                    batch = list(itertools.islice(rows.source, size))
                except apsw.Error as error:
                    if not self._live:
                        batch = []
                    else:
                        raise self._failed(error) from error
                for row in batch:
                    _ = self._codec(rows.table)
                    yield decode(row)
                if len(batch) < size:
                    break
            _ = self._codec(rows.table)
        finally:
            if self._live:
                _ = self._running.pop(rows, None)
                self._stop(rows)

    def count(self, query: Query) -> int:
        codec = self._codec(query.table)
        compiled = self._compile(codec, query)
        sql = f"SELECT count(*) FROM {codec.table}{compiled.where}"
        ((found,),) = self._execute(sql, compiled.where_parameters)
        assert isinstance(found, int)
        return found

    def put(self, table: str, records: Sequence[Record]) -> None:
        codec = self._codec(table, write=True)
        rows = codec.encode(records)
        _ = self._odd.pop(table, None)
        try:
            _ = self._connection.executemany(codec.insert, rows)
        except apsw.Error as error:
            raise self._failed(error) from error

    def delete(self, table: str, ids: Sequence[str]) -> int:
        codec = self._codec(table, write=True)
        check_ids(table, ids)
        _ = self._odd.pop(table, None)
        before = self._connection.total_changes()
        sql = f'DELETE FROM {codec.table} WHERE "id" = ?'
        try:
            _ = self._connection.executemany(sql, [(id,) for id in ids])
        except apsw.Error as error:
            raise self._failed(error) from error
        return self._connection.total_changes() - before

    def delete_where(self, query: Query) -> int:
        codec = self._codec(query.table, write=True)
        compiled = self._compile(codec, query)
        _ = self._odd.pop(query.table, None)
        if compiled.limit:
            selected = f'SELECT "id" FROM {codec.table}{compiled.tail}'
            sql, parameters = f'DELETE FROM {codec.table} WHERE "id" IN ({selected})', compiled.parameters
        else:
            sql, parameters = f"DELETE FROM {codec.table}{compiled.where}", compiled.where_parameters
        _ = self._execute(sql, parameters)
        return self._connection.changes()


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    """Where to cut a list of ids, in few sizes, so that prepared statements are found again."""
    start = 0
    while start < count:
        rest = count - start
        size = next((size for size in _ID_CHUNKS if size >= rest), _ID_CHUNKS[-1])
        yield start, size
        start += size
