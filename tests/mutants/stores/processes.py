"""Broken stores: several processes."""

from __future__ import annotations

import os
import time
from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.durability import WritesBeforeTheCommit
from tests.mutants.stores.json_file import JsonFileStore, JsonFileTransaction
from tests.mutants.stores.turns import KeepsWhatItRead
from tidesync.errors import StoreError
from tidesync.stores.turns import Turns


class _OnlyThreads(JsonFileStore):
    """Locks out other threads only."""

    own: Turns

    def lock(self) -> int:
        if not hasattr(self, "own"):
            self.own = Turns()
        _ = self.own.take(self.busy_timeout)
        return 0

    def unlock(self, file: int) -> None:
        self.own.give_back()


@broken("test_no_process_loses_a_write")
class LocksNoProcess(_OnlyThreads):
    """The lock is one of the process: an application and its service undo each other's writes."""


@broken("test_processes_open_a_new_place_at_once")
class OpensWithoutALock(JsonFileStore):
    """Tables are upgraded without a lock: of two processes that begin at once one has made nothing."""

    def open(self, tables: Any) -> None:
        self.check_fork()
        self.upgrade(tables)

    def read(self) -> Any:
        tables = super().read()
        if not self.is_open:
            time.sleep(0.05 * (os.getpid() % 4))
        return tables


@broken("test_writers_of_two_processes_take_turns")
class LocksToWriteOnly(JsonFileTransaction):
    """The file is locked for the commit, not for the transaction."""

    def _take(self) -> None:
        pass

    def _commit(self) -> None:
        with self._store.locked():
            super()._commit()


@broken("test_a_killed_writer_lets_the_next_one_in")
class UncommittedIsInTheFile(WritesBeforeTheCommit):
    """What a killed process had written is in the file, committed or not."""


@broken("test_a_reader_sees_one_state_while_another_process_writes")
class ReadsTableByTable(JsonFileTransaction):
    """A table is read when it is asked for, and anew each time."""

    def _check(self, table: str, *, write: bool = False) -> None:
        super()._check(table, write=write)
        if not self._write:
            self._tables = self._store.read()


@broken("test_a_schema_that_one_process_grew_is_seen_by_the_other")
class TablesAsTheyWereAtOpen(JsonFileStore):
    """A store writes the tables and columns that it knew when it was opened, and drops what came later."""

    known: Any = None

    def upgrade(self, tables: Any) -> None:
        super().upgrade(tables)
        self.known = {name: set(columns) for name, columns in self._columns.items()}

    def save(self, tables: Any) -> None:
        if self.known is not None and self.is_open and not self.tables:
            self._columns = {name: kinds for name, kinds in self._columns.items() if name in self.known}
            tables = {name: rows for name, rows in tables.items() if name in self.known}
        super().save(tables)


@broken("test_a_fork_leaves_the_store_to_its_parent")
class ForksAreNotNoticed(JsonFileTransaction):
    """A child process ends the transaction of its parent, and commits it."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._pid = os.getpid()
        super().__exit__(kind, error, trace)


@broken("test_a_fork_leaves_the_store_to_its_parent")
class ForksInheritTheTurn(JsonFileStore):
    """The note "a transaction is under way" goes along with a fork, and the child can do nothing."""

    def check_fork(self) -> None:
        if self._process != os.getpid():
            raise StoreError("a transaction is already under way")


@broken("test_a_forked_process_may_write_late")
class ForksGoOnWithACopy(KeepsWhatItRead):
    """A forked process writes what its parent had read, and what that wrote since is lost."""
