"""A sound store that is small enough to break: one JSON file, read by each transaction, replaced by each commit."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tidesync.contracts.store import StoreCapabilities
from tidesync.errors import StoreBusy, StoreClosed, StoreCorrupt, StoreError
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore, MemoryTransaction
from tidesync.stores.turns import Turns
from tidesync.values import ColumnType

Tables = dict[str, dict[str, Record]]


class JsonFileStore(MemoryStore):
    """Records in one JSON file. A lock on a file beside it is held while one of all processes writes."""

    capabilities = StoreCapabilities(durable=True, multiprocess=True)

    def __init__(self, path: Path, *, busy_timeout: float = 30.0) -> None:
        super().__init__(busy_timeout=busy_timeout)
        self.path = path
        self._process = os.getpid()

    def lock(self) -> int:
        """Wait until nobody else writes."""
        file = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + self.busy_timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(file)
                    raise StoreBusy("another one is writing") from None
                time.sleep(0.0005)
            else:
                return file

    def unlock(self, file: int) -> None:
        """The inverse of `lock`."""
        os.close(file)

    @contextmanager
    def locked(self) -> Generator[None]:
        """The lock, inside."""
        file = self.lock()
        try:
            yield
        finally:
            self.unlock(file)

    def read(self) -> Tables:
        """The tables that the file holds, and their columns."""
        try:
            state = json.loads(self.decoded(self.path.read_bytes()))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StoreCorrupt(f"{self.path}: is not what was written") from error
        self._columns = {
            name: {column: ColumnType(kind) for column, kind in columns.items()}
            for name, columns in state["columns"].items()
        }
        tables: Tables = state["tables"]
        return tables

    def save(self, tables: Tables) -> None:
        """Make these the tables of the file."""
        columns = {
            name: {each: kind.value for each, kind in kinds.items()} for name, kinds in self._columns.items()
        }
        self.write(self.encoded(json.dumps({"columns": columns, "tables": tables}).encode()))

    def encoded(self, content: bytes) -> bytes:
        """What is written to the file."""
        return content

    def decoded(self, content: bytes) -> bytes:
        """The inverse of `encoded`; raises `ValueError`."""
        return content

    def write(self, content: bytes) -> None:
        """Replace the file, in one step."""
        whole = Path(f"{self.path}.{os.getpid()}.{threading.get_ident()}.tmp")
        with whole.open("wb") as file:
            _ = file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(whole, self.path)  # noqa: PTH105  # the call that a kill may come before or after

    def check_fork(self) -> None:
        """Leave what was under way to the parent process."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self.active, self.turns, self.mutex = set(), Turns(), threading.Lock()

    def open(self, tables: Sequence[TableSchema]) -> None:
        self.check_fork()
        if threading.get_ident() in self.active:
            raise StoreError("a transaction is already under way in this thread: end it first")
        with self.locked():
            self.upgrade(tables)

    def upgrade(self, tables: Sequence[TableSchema]) -> None:
        """Open the tables, with the lock held."""
        self.tables = self.read()
        super().open(tables)
        self.save(self.tables)
        self.tables = {}

    @property
    def opened(self) -> set[str]:
        """The names of the tables that may be used."""
        return self._opened

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return JsonFileTransaction(self, write)


class JsonFileTransaction(MemoryTransaction):
    """What the file held when it began, and what was changed on top of it."""

    _store: JsonFileStore
    _lock: int | None = None

    def __enter__(self) -> MemoryTransaction:
        store = self._store
        store.check_fork()
        self._pid = os.getpid()
        if self._write and store.is_open and threading.get_ident() not in store.active:
            self._take()
        try:
            entered: Any = super().__enter__()
            try:
                self._tables = {**{name: {} for name in store.opened}, **store.read()}
            except BaseException:
                store.leave_thread(self._thread, write=self._write)
                raise
        except BaseException:
            self._unlock()
            raise
        return entered  # type: ignore[no-any-return]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid != os.getpid():
            self._live = False
            if kind is None:
                raise StoreClosed("the transaction belongs to the process that forked")
            return
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._unlock()

    def _take(self) -> None:
        self._lock = self._store.lock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._store.unlock(self._lock)
            self._lock = None

    def _check(self, table: str, *, write: bool = False) -> None:
        if self._pid != os.getpid():
            raise StoreClosed("the transaction belongs to the process that forked")
        super()._check(table, write=write)

    def _changed(self) -> Tables:
        """The tables with what was changed."""
        tables = self._tables
        for name, changes in self._changes.items():
            rows = {**tables[name], **changes}
            tables = {**tables, name: {id: row for id, row in rows.items() if row is not None}}
        return tables

    def _commit(self) -> None:
        self._store.save(self._changed())
