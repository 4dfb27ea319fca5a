"""A transaction of the SQLite store, or of the SQLCipher store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from copy import deepcopy
from operator import itemgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from tidesync.errors import InvalidQuery, StoreClosed, StoreError, UnknownTable
from tidesync.query import Query
from tidesync.records import Record
from tidesync.stores.checks import check_ids
from tidesync.stores.forks import Process, inherited
from tidesync.stores.sql.compile import Compiled, compile_query
from tidesync.stores.sql.ddl import ODD, quoted
from tidesync.stores.sql.migrations import Cursor
from tidesync.stores.sql.rows import Codec, Decode, loads

if TYPE_CHECKING:
    from tidesync.stores.file_store import FileStore

_ID_CHUNKS: Final = (1, 8, 64, 512)
_ID_OF: Final = itemgetter(0)
_BATCHES: Final = (8, 64, 512)


class _Rows:
    """An open statement of a transaction."""

    __slots__ = ("members", "source", "table")

    def __init__(self, table: str, source: Iterator[Any], compiled: Compiled) -> None:
        self.table, self.source, self.members = table, source, compiled.members


class SQLiteTransaction:
    """One transaction, on a connection of its own."""

    def __init__(self, store: FileStore, write: bool) -> None:
        self._store = store
        self._driver = store.file.driver
        self._write = write
        self._live = False
        self._failure: StoreError | None = None
        self._running: dict[_Rows, None] = {}
        self._odd: dict[str, frozenset[str]] = {}

    def __enter__(self) -> SQLiteTransaction:
        store = self._store
        store.check_fork()
        self._thread = store.enter_thread()
        try:
            self._generation, self._process = store.generation, Process.token
            self._connection, self._codecs = store.begin(write=self._write)
        except BaseException:
            store.leave_thread(self._thread)
            raise
        self._live = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        store = self._store
        self._live = False
        if self._process is not Process.token:
            inherited.append(self._connection)
            if kind is None:
                raise StoreClosed(
                    "the transaction belongs to the process that forked; nothing was written here"
                )
            return
        try:
            for rows in self._running:
                self._driver.stop(rows.source)
            if kind is None:
                if self._failure is not None:
                    raise StoreError("an error before this ended the transaction; nothing was written") from (
                        self._failure
                    )
                if self._generation != store.generation:
                    raise StoreClosed("the store was closed during the transaction; nothing was written")
                try:
                    if self._write:
                        self._driver.check(self._connection)
                    _ = self._connection.execute("COMMIT")
                except self._driver.error as refusal:
                    raise store.file.typed(refusal) from refusal
        finally:
            store.end(self._connection, write=self._write)
            store.leave_thread(self._thread)

    def _codec(self, table: str, *, write: bool = False) -> Codec:
        if not self._live or self._generation != self._store.generation or self._process is not Process.token:
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
        except self._driver.error as error:
            raise self._failed(error) from error
        except UnicodeEncodeError as error:
            raise InvalidQuery("a text with a lone surrogate equals nothing that can be stored") from error

    def _all(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """All rows of a statement."""
        rows = list(self._execute(sql, parameters))
        self._check()
        return rows

    def _check(self) -> None:
        """See that what was read is what was written."""
        try:
            self._driver.check(self._connection)
        except self._driver.error as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        """The typed form of a driver's error. After it nothing of the transaction may be kept."""
        self._failure = self._store.file.typed(error)
        return self._failure

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        codec = self._codec(table)
        check_ids(table, ids)
        found: dict[str, Any] = {}
        unique = ids if len(ids) < 2 else list(dict.fromkeys(ids))
        for start, size in chunks(len(unique)):
            chunk = [*unique[start : start + size]]
            chunk += chunk[-1:] * (size - len(chunk))
            rows = self._all(codec.get(size), chunk)
            found.update(zip(map(_ID_OF, rows), codec.decode(rows), strict=True))
        if len(unique) < len(ids):
            return [deepcopy(found.get(id)) for id in ids]
        return [found.get(id) for id in ids]

    def _compile(self, codec: Codec, query: Query) -> Compiled:
        return compile_query(
            query, codec.layout, lambda: self._odd_columns(codec), whole_texts=self._driver.whole_texts
        )

    def _odd_columns(self, codec: Codec) -> frozenset[str]:
        """The columns of a table that hold values which SQLite sorts in its own way."""
        table = codec.layout.table
        if table not in self._odd:
            mark, names = quoted(ODD), frozenset[str]()
            last = ""
            sql = f"SELECT {mark} FROM {codec.table} WHERE {mark} > ? ORDER BY {mark} LIMIT 1"
            while rows := self._all(sql, (last,)):
                last = rows[0][0]
                names |= frozenset(loads(last))
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
                    self._driver.check(self._connection)
                except self._driver.error as error:
                    if not self._live:
                        batch = []
                    else:
                        raise self._failed(error) from error
                store, generation = self._store, self._generation
                for record in decode(batch):
                    if not self._live or store.generation != generation:
                        break
                    yield record
                _ = self._codec(rows.table)
                if len(batch) < size:
                    break
        finally:
            if self._live:
                _ = self._running.pop(rows, None)
                self._driver.stop(rows.source)

    def count(self, query: Query) -> int:
        codec = self._codec(query.table)
        compiled = self._compile(codec, query)
        sql = f"SELECT count(*) FROM {codec.table}{compiled.where}"
        ((found,),) = self._all(sql, compiled.where_parameters)
        assert isinstance(found, int)
        return found

    def put(self, table: str, records: Sequence[Record]) -> None:
        codec = self._codec(table, write=True)
        insert, rows = codec.encode(records)
        _ = self._odd.pop(table, None)
        try:
            _ = self._connection.executemany(insert, rows)
        except self._driver.error as error:
            raise self._failed(error) from error

    def delete(self, table: str, ids: Sequence[str]) -> int:
        codec = self._codec(table, write=True)
        check_ids(table, ids)
        _ = self._odd.pop(table, None)
        before = self._connection.total_changes()
        sql = f'DELETE FROM {codec.table} WHERE "id" = ?'
        try:
            _ = self._connection.executemany(sql, [(id,) for id in ids])
        except self._driver.error as error:
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


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Where to cut a list of ids, in few sizes, so that prepared statements are found again."""
    start = 0
    while start < count:
        rest = count - start
        size = next((size for size in _ID_CHUNKS if size >= rest), _ID_CHUNKS[-1])
        yield start, size
        start += size
