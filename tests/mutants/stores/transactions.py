"""Broken stores: what belongs together, and iterators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.mutants.stores.bases import broken
from tidesync.errors import StoreClosed, StoreError, UsageError
from tidesync.query import Query
from tidesync.records import Record
from tidesync.stores import MemoryStore
from tidesync.stores.memory import MemoryTransaction, copied


@broken("test_a_transaction_is_kept_when_it_ends")
class DeletesComeLast(MemoryTransaction):
    """Writes are collected until the commit, and deletes are done last: a record that came back is gone."""

    def __enter__(self) -> Any:
        self._deleted: list[tuple[str, str]] = []
        return super().__enter__()

    def delete(self, table: str, ids: Any) -> int:
        self._deleted += [(table, id) for id in ids]
        return super().delete(table, ids)

    def _commit(self) -> None:
        for table, id in self._deleted:
            self._changes[table][id] = None
        super()._commit()


@broken("test_a_transaction_sees_its_own_writes")
class SelectSeesWhatIsCommitted(MemoryTransaction):
    """A query does not see what its own transaction has written."""

    def _rows(self, table: str) -> Any:
        return self._tables[table].values()


@broken("test_a_transaction_sees_its_own_writes")
class GetSeesWhatIsCommitted(MemoryTransaction):
    """Get reads from the file, where the transaction has written nothing yet."""

    def get(self, table: str, ids: Any) -> Any:
        changes, self._changes = self._changes, {}
        try:
            return super().get(table, ids)
        finally:
            self._changes = changes


@broken("test_a_transaction_sees_its_own_writes")
class DeletedIsStillThere(MemoryTransaction):
    """Get looks at what was put, but not at what was deleted in its transaction."""

    def get(self, table: str, ids: Any) -> Any:
        rows = {**self._tables[table], **{id: row for id, row in self._changes.get(table, {}).items() if row}}
        found = super().get(table, ids)
        return [row or (copied(rows[id]) if id in rows else None) for id, row in zip(ids, found, strict=True)]


@broken("test_any_exception_rolls_back")
class OnlyErrorsRollBack(MemoryTransaction):
    """`except Exception` rolls back; KeyboardInterrupt and GeneratorExit commit the half that is done."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind if kind and issubclass(kind, Exception) else None, error, trace)


@broken("test_any_exception_rolls_back")
class RollbackKeepsOneTable(MemoryTransaction):
    """The engine's own tables are written at once, and not rolled back."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and self._write:
            self._changes = {name: rows for name, rows in self._changes.items() if name.startswith("__")}
            self._commit()
        super().__exit__(kind, error, trace)


@broken("test_an_exception_comes_out_as_it_was_raised")
class StopIterationIsSwallowed(MemoryTransaction):
    """A StopIteration in the block ends it quietly, as in a generator."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        super().__exit__(kind, error, trace)
        return kind is StopIteration


@broken("test_an_exception_comes_out_as_it_was_raised")
class ErrorsAreWrapped(MemoryTransaction):
    """Whatever the block raises comes out as a StoreError."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, Exception):
            raise StoreError("the transaction failed") from error


class _Iterating(MemoryTransaction):
    """Knows which tables are being iterated."""

    running = 0

    def _stream(self, query: Query, rows: list[Record]) -> Iterator[Record]:
        self.running += 1
        yield from super()._stream(query, rows)
        self.running -= 1


@broken("test_an_exception_in_mid_iteration_rolls_back")
class OpenCursorsKeepTheWrites(_Iterating):
    """The database refuses to roll back while a cursor is open, and the refusal is ignored."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and self._write and self.running:
            self._commit()
        super().__exit__(kind, error, trace)


@broken("test_a_refused_call_does_nothing")
class PutOneByOne(MemoryTransaction):
    """Records are checked and written one by one, so those before a bad one stay."""

    def put(self, table: str, records: Any) -> None:
        for record in records:
            super().put(table, [record])


@broken("test_a_transaction_goes_on_after_a_refused_call")
class RefusalRollsBack(MemoryTransaction):
    """A record that is refused takes along all that its transaction did before."""

    def put(self, table: str, records: Any) -> None:
        try:
            super().put(table, records)
        except UsageError:
            self._changes.clear()
            raise


@broken("test_a_transaction_is_not_used_after_its_end")
class WorksAfterItsEnd(MemoryTransaction):
    """A transaction that has ended still answers, with what it saw."""

    def _check(self, table: str, *, write: bool = False) -> None:
        alive, self._live = self._live, True
        try:
            super()._check(table, write=write)
        finally:
            self._live = alive


@broken("test_transactions_do_not_nest")
class TransactionsNest(MemoryStore):
    """A transaction inside another one of the same thread is taken for one of its own."""

    def __init__(self) -> None:
        super().__init__(busy_timeout=0.1)

    def enter_thread(self, *, write: bool) -> int:
        me = super().enter_thread(write=write)
        self.active.discard(me)
        return me


@broken("test_an_iterator_ends_with_its_transaction")
class IteratorsJustStop(MemoryTransaction):
    """An iterator that is used after its transaction stops, as if there were no more records."""

    def _stream(self, query: Query, rows: list[Record]) -> Iterator[Record]:
        try:
            yield from super()._stream(query, rows)
        except StoreClosed:
            return


@broken("test_an_iterator_ends_with_its_transaction")
class RowsAreFetchedAhead(MemoryTransaction):
    """A hundred rows are fetched ahead, and still come when the transaction is over."""

    def _stream(self, query: Query, rows: list[Record]) -> Iterator[Record]:
        for start in range(0, len(rows), 100):
            self._check(query.table)
            yield from map(copied, rows[start : start + 100])
        self._check(query.table)


@broken("test_other_tables_are_written_while_one_is_iterated")
class WritesResetCursors(MemoryTransaction):
    """A write to any table ends what is being iterated."""

    written = 0

    def put(self, table: str, records: Any) -> None:
        self.written += 1
        super().put(table, records)

    def _stream(self, query: Query, rows: list[Record]) -> Iterator[Record]:
        begun = self.written
        for row in super()._stream(query, rows):
            if self.written != begun and len(rows) > 100:
                return
            yield row


@broken("test_iterators_do_not_disturb_each_other")
class OneCursor(MemoryTransaction):
    """All queries of a transaction share a cursor: the next one ends the one before it."""

    newest = 0

    def _stream(self, query: Query, rows: list[Record]) -> Iterator[Record]:
        self.newest += 1
        mine = self.newest
        for row in super()._stream(query, rows):
            if mine != self.newest:
                return
            yield row


@broken("test_iterators_may_be_left")
class OpenCursorsForbidTheCommit(_Iterating):
    """A transaction cannot commit while one of its iterators is half-way."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if kind is None and self.running:
            raise StoreError("cannot commit - SQL statements in progress")
