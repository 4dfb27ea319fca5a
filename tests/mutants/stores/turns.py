"""Broken stores: threads, locks, opening and closing."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.json_file import JsonFileStore, JsonFileTransaction
from tidesync.errors import StoreBusy, StoreClosed, StoreError
from tidesync.stores import MemoryStore
from tidesync.stores.memory import MemoryTransaction
from tidesync.stores.turns import Turns


@broken("test_nobody_sees_what_is_not_committed")
class WritesAreSeen(MemoryTransaction):
    """Put writes into the dict that all readers look at."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, records)
        self._tables[table].update({record["id"]: dict(record) for record in records})


@broken("test_a_reader_keeps_its_state")
class ReadersFollow(MemoryTransaction):
    """A commit changes the dicts that a reader began with."""

    def _commit(self) -> None:
        readers, self._store.readers = self._store.readers, 0
        super()._commit()
        self._store.readers = readers


@broken("test_writers_take_turns")
class NoTurns(MemoryStore):
    """Nobody waits for another writer: of two changes the first is lost."""

    def enter_thread(self, *, write: bool) -> int:
        return super().enter_thread(write=False)

    def leave_thread(self, thread: int, *, write: bool) -> None:
        super().leave_thread(thread, write=False)


@broken("test_writers_take_turns")
class LockReleasedEarly(MemoryTransaction):
    """The lock is given back before the commit, which another writer does not see."""

    def _commit(self) -> None:
        self._store.turns.give_back()
        time.sleep(0.002)
        super()._commit()
        _ = self._store.turns.take(5)


@broken("test_writers_take_turns")
class LockTakenLate(MemoryTransaction):
    """The lock is taken with the commit, when the transaction has already read."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        if self._write:
            self._store.turns.give_back()
        return entered

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._write:
            _ = self._store.turns.take(5)
        super().__exit__(kind, error, trace)


@broken("test_a_writer_waits_or_is_told")
class BusyIsNotTyped(MemoryStore):
    """A writer that waits too long gets the driver's own error."""

    def __init__(self) -> None:
        super().__init__(busy_timeout=0.05)

    def enter_thread(self, *, write: bool) -> int:
        try:
            return super().enter_thread(write=write)
        except StoreBusy:
            raise RuntimeError("database is locked") from None


@broken("test_a_writer_that_fails_lets_the_next_one_in")
class RollbackKeepsTheLock(MemoryTransaction):
    """Only a commit gives the lock back."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._store.busy_timeout = 0.2
        super().__exit__(kind, error, trace)
        if kind is not None and self._write:
            _ = self._store.turns.take(0)


@broken("test_no_state_is_torn")
class TornCommits(MemoryTransaction):
    """A commit goes table by table, and readers get between."""

    def _commit(self) -> None:
        changes = self._changes
        for name, rows in changes.items():
            self._changes = {name: rows}
            super()._commit()
            time.sleep(0.001)


@broken("test_any_thread_may_use_a_store")
class BelongsToAThread(MemoryStore):
    """The store works only in the thread that opened it."""

    owner = 0

    def open(self, tables: Any) -> None:
        self.owner = threading.get_ident()
        super().open(tables)

    def enter_thread(self, *, write: bool) -> int:
        if self.owner != threading.get_ident():
            raise StoreError("SQLite objects created in a thread can only be used in that same thread")
        return super().enter_thread(write=write)


@broken("test_any_thread_may_use_a_store")
class UnderWayAnywhere(MemoryStore):
    """A transaction of another thread is taken for one inside another."""

    def enter_thread(self, *, write: bool) -> int:
        if self.active:
            raise StoreError("a transaction is already under way")
        return super().enter_thread(write=write)


@broken("test_a_closed_store_says_so")
class ClosedIsNone(MemoryStore):
    """A store that is closed has no connection, and fails like any None."""

    def transaction(self, *, write: bool) -> Any:
        if not self.is_open:
            raise AttributeError("'NoneType' object has no attribute 'execute'")
        return super().transaction(write=write)


@broken("test_a_store_may_be_closed_twice")
class ClosesOnce(MemoryStore):
    """The second close is an error."""

    def close(self) -> None:
        if not self.is_open:
            raise StoreClosed("Cannot operate on a closed database")
        super().close()


@broken("test_close_ends_a_transaction_under_way")
class CloseCommits(MemoryTransaction):
    """A transaction during which the store is closed is written after all."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._write and kind is None and self._generation != self._store.generation:
            self._commit()
        super().__exit__(kind, error, trace)


@broken("test_close_ends_a_transaction_under_way")
class CloseIsQuiet(MemoryTransaction):
    """A transaction during which the store was closed ends as if it were kept."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            super().__exit__(kind, error, trace)
        except StoreClosed:
            return


@broken("test_a_store_may_be_opened_again")
class OpensOnce(MemoryStore):
    """What close takes away only the constructor makes."""

    def open(self, tables: Any) -> None:
        if self.generation:
            raise StoreClosed("Cannot operate on a closed database")
        super().open(tables)


@broken("test_stores_on_one_place_see_each_other")
class KeepsWhatItRead(JsonFileStore):
    """The file is read when it is opened, and not again."""

    known: Any = None

    def read(self) -> Any:
        if not self.is_open or self.known is None:
            self.known = super().read()
        return self.known

    def save(self, tables: Any) -> None:
        super().save(tables)
        self.known = tables


@broken("test_writers_of_two_stores_take_turns")
class LocksItselfOnly(JsonFileStore):
    """The lock is one of the object: two stores on one file write at the same time."""

    def lock(self) -> int:
        self.own = getattr(self, "own", None) or Turns()
        _ = self.own.take(self.busy_timeout)
        return 0

    def unlock(self, file: int) -> None:
        self.own.give_back()


@broken("test_writers_of_two_stores_take_turns")
class FileIsLockedLate(JsonFileTransaction):
    """The file is locked to be written only: two stores read the same, and the second overwrites the first."""

    def _take(self) -> None:
        pass

    def _commit(self) -> None:
        with self._store.locked():
            super()._commit()
