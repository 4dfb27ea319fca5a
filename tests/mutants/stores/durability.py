"""Broken stores: what outlives a close and a kill."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.json_file import JsonFileStore, JsonFileTransaction
from tidesync.errors import StoreBusy
from tidesync.stores import SQLiteStore
from tidesync.stores.sqlite_transaction import SQLiteTransaction


class _Buffered(JsonFileStore):
    """Keeps what it holds in memory, too."""

    held: Any = None

    def read(self) -> Any:
        if self.held is None:
            self.held = super().read()
        return self.held

    def save(self, tables: Any) -> None:
        self.held = tables

    def flush(self) -> None:
        """Write it to the file."""
        if self.held is not None:
            super().save(self.held)


@broken("test_committed_is_there_after_close")
class DeletesStayInMemory(JsonFileStore):
    """The file only grows: what was deleted is there again after close."""

    held: Any = None

    def read(self) -> Any:
        return super().read() if self.held is None else self.held

    def save(self, tables: Any) -> None:
        there = super().read()
        super().save({name: {**there.get(name, {}), **rows} for name, rows in tables.items()})
        self.held = tables


@broken("test_committed_is_there_after_close")
class AcknowledgedBeforeTheFile(SQLiteStore):
    """A transaction that is acknowledged is kept in a second file, which nobody reads at open."""

    def close(self) -> None:
        was_open = self.is_open
        super().close()
        if was_open and Path(self.file.path).exists():
            Path(self.file.path).unlink()


@broken("test_rolled_back_is_not_there_after_close")
class CloseSavesAll(JsonFileStore):
    """Close writes all that is in memory, also what is not committed."""

    last: Any = None

    def transaction(self, *, write: bool) -> Any:
        self.last = super().transaction(write=write)
        return self.last

    def close(self) -> None:
        if self.is_open and self.last is not None and self.last._live:
            self.last._commit()
        super().close()


@broken("test_the_schema_outlives_close")
class OnlyColumnsAreKept(JsonFileStore):
    """Close writes the declared columns, and drops the fields that the schema does not name."""

    def close(self) -> None:
        if self.is_open:
            for name, rows in (tables := self.read()).items():
                for row in rows.values():
                    for field in row.keys() - self._columns[name].keys() - {"id"}:
                        del row[field]
            self.save(tables)
        super().close()


@broken("test_a_store_that_is_not_closed_loses_nothing")
class WritesAtClose(_Buffered):
    """All is written when the store is closed."""

    def close(self) -> None:
        if self.is_open:
            self.flush()
        super().close()
        self.held = None


@broken("test_a_commit_is_durable_before_it_is_acknowledged")
class AcknowledgesBeforeTheCommit(_Buffered):
    """A transaction is acknowledged when it is handed to a thread that writes."""

    writing: threading.Thread | None = None

    def save(self, tables: Any) -> None:
        self.close_writer()
        super().save(tables)
        self.writing = threading.Thread(target=self.write_soon)
        self.writing.start()

    def write_soon(self) -> None:
        time.sleep(0.005)
        self.flush()

    def close_writer(self) -> None:
        if self.writing is not None:
            self.writing.join()

    def close(self) -> None:
        self.close_writer()
        super().close()
        self.held = None


@broken("test_a_commit_is_durable_before_it_is_acknowledged")
class CommitsInPairs(_Buffered):
    """Every second commit is written, which halves the waiting for the disk."""

    commits = 0

    def save(self, tables: Any) -> None:
        super().save(tables)
        self.commits += 1
        if self.commits % 2 == 1:
            self.flush()

    def close(self) -> None:
        if self.is_open:
            self.flush()
        super().close()
        self.held = None


@broken("test_a_killed_process_leaves_whole_transactions")
class CommitsTableByTable(JsonFileTransaction):
    """Each table is committed by itself, and a kill comes between."""

    def _commit(self) -> None:
        changes = self._changes
        for name in changes:
            self._changes = {name: changes[name]}
            self._tables = self._changed()
            self._store.save(self._tables)


@broken("test_a_killed_process_leaves_whole_transactions")
class WritesInPlace(JsonFileStore):
    """The file is overwritten where it is, and a kill leaves half of it."""

    def write(self, content: bytes) -> None:
        with self.path.open("wb", buffering=0) as file:
            for start in range(0, len(content), 1024):
                _ = file.write(content[start : start + 1024])


@broken("test_a_killed_process_leaves_whole_transactions")
class NoJournal(SQLiteStore):
    """SQLite without a journal: each table is committed as it comes."""

    def transaction(self, *, write: bool) -> Any:
        return _Autocommit(self, write)


class _Autocommit(SQLiteTransaction):
    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._write and kind is None:
            _ = self._connection.execute("COMMIT")
            _ = self._connection.execute("BEGIN IMMEDIATE")
        super().__exit__(kind, error, trace)

    def delete(self, table: str, ids: Any) -> int:
        _ = self._connection.execute("COMMIT")
        _ = self._connection.execute("BEGIN IMMEDIATE")
        return super().delete(table, ids)


@broken("test_a_killed_upgrade_loses_nothing")
class UpgradesByCopying(JsonFileStore):
    """An upgrade moves the file away, and writes it anew."""

    def upgrade(self, tables: Any) -> None:
        held, columns = self.read(), dict(self._columns)
        if held:
            self.path.unlink()
            os.stat(self.path.parent)  # noqa: PTH116  a moment in which a kill may come
            self._columns = columns
            self.save(held)
        super().upgrade(tables)


@broken("test_a_killed_transaction_leaves_nothing")
class LockFilesStay(JsonFileStore):
    """A writer makes a file that says "locked"; after a kill it is there for ever."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, busy_timeout=0.5)

    def lock(self) -> int:
        end = time.monotonic() + self.busy_timeout
        while True:
            try:
                return os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                if time.monotonic() > end:
                    raise StoreBusy("another one is writing") from None
                time.sleep(0.001)

    def unlock(self, file: int) -> None:
        super().unlock(file)
        os.unlink(f"{self.path}.lock")  # noqa: PTH108


@broken("test_a_killed_transaction_leaves_nothing")
class WritesBeforeTheCommit(JsonFileTransaction):
    """Put writes to the file at once, and only a rollback takes it back."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, records)
        self._store.save(self._changed())

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and self._write:
            self._store.save(self._tables)
        super().__exit__(kind, error, trace)
