"""What the SQLite store and the SQLCipher store share: one file, written by any number of threads and processes."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from tidesync.contracts.store import StoreCapabilities
from tidesync.errors import (
    ConfigurationError,
    StoreBusy,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
)
from tidesync.schema import TableSchema
from tidesync.stores.forks import Process, check_usable, inherited, watch
from tidesync.stores.sql.ddl import COUNTER, FORMAT, Layout
from tidesync.stores.sql.driver import Connection, Driver
from tidesync.stores.sql.migrations import changed, read_layouts, upgrade
from tidesync.stores.sql.rows import Codec
from tidesync.stores.sqlite_check import check_whole
from tidesync.stores.sqlite_file import (
    File,
    check_file,
    connect,
    create,
    look,
    patiently,
    translated,
)
from tidesync.stores.sqlite_transaction import SQLiteTransaction
from tidesync.stores.turns import Turns, claim, release

Synchronous = Literal["full", "normal"]
Mode = Literal["rwc", "rw", "ro"]

_log: Final = logging.getLogger(__name__)
_IDLE_LIMIT: Final = 8
_TIMEOUT_LIMIT: Final = 2_000_000  # SQLite counts milliseconds, in 32 bits
_LAYOUTS_LIMIT: Final = 4

_turns: dict[tuple[object, str], Turns] = {}
"""One queue of writers for each file, shared by all stores of this process."""


def checked(path: str | os.PathLike[str], busy_timeout: object, read_timeout: object = None) -> str:
    """The path of a file, as text; `ConfigurationError` if it is none, or a timeout is none."""
    wrong = f"path is the path of a file, as text or a Path, not {path!r:.60}"
    try:
        name = os.fspath(path)
    except TypeError as error:
        raise ConfigurationError(wrong) from error
    if type(name) is not str:
        raise ConfigurationError(wrong)
    if name in ("", ":memory:") or "\0" in name:
        raise ConfigurationError(f"{name!r} is not the path of a file; MemoryStore keeps records in memory")
    if not isinstance(busy_timeout, int | float) or not 0 <= busy_timeout <= _TIMEOUT_LIMIT:
        raise ConfigurationError(
            f"busy_timeout is in seconds, from 0 to {_TIMEOUT_LIMIT}, not {busy_timeout!r:.60}"
        )
    if read_timeout is not None and (not isinstance(read_timeout, int | float) or not read_timeout > 0):
        raise ConfigurationError(
            f"read_timeout is in seconds, above 0, or None for any time, not {read_timeout!r:.60}"
        )
    return name


class FileStore:
    """Records in one file of SQLite's kind, reached through a driver; safe for several threads and processes."""

    def __init__(
        self,
        driver: Driver,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous,
        busy_timeout: float,
        read_timeout: float | None,
        mode: Mode,
    ) -> None:
        name = checked(path, busy_timeout, read_timeout)
        if synchronous not in ("full", "normal"):
            raise ConfigurationError(f'synchronous is "full" or "normal", not {synchronous!r}')
        if mode not in ("rwc", "rw", "ro"):
            raise ConfigurationError(f'mode is "rwc", "rw" or "ro", not {mode!r:.60}')
        self.file: Final = File(
            driver, str(Path(name).absolute()), synchronous, busy_timeout, mode, read_timeout
        )
        self.capabilities: Final = StoreCapabilities(
            durable=synchronous == "full", multiprocess=True, indexed=True, encrypted=driver.encrypts
        )
        self.active: set[int] = set()
        self.generation = 0
        self.format = 0
        """The format of the file that is open; 0 before."""
        self._mutex = threading.Lock()
        self._idle: list[Connection] = []
        self._process = Process.token
        self.real_path = self.file.path
        self._codecs: dict[int, dict[str, Codec]] = {}
        self._opened: frozenset[str] = frozenset()
        self._closing: list[Connection] = []
        self._is_open = False
        watch(self)

    def __repr__(self) -> str:
        # Tools that show the locals of an error see stores that were refused, too.
        path = repr(self.file.path) if hasattr(self, "file") else "..."
        return f"{type(self).__name__}({path})"

    def open(self, tables: Sequence[TableSchema]) -> None:
        self.check_fork()
        self.real_path = os.path.realpath(self.file.path)
        check_usable(self.real_path)
        me = self.enter_thread()
        try:
            self.take_turn()
            try:
                self._open(tables)
            except BaseException:
                if not self._is_open:
                    release(self.real_path, self)
                raise
            finally:
                self.give_turn_back()
        finally:
            self.leave_thread(me)

    def _open(self, tables: Sequence[TableSchema]) -> None:
        if not self._is_open:
            claim(self.real_path, self.file.driver.library, self)
            check_file(self.file)
            if self.file.mode == "rwc":
                create(self.file)
                self.format = FORMAT
            else:
                self.format = look(self.file)
        if self.file.mode != "rwc":
            self._is_open = True
            return
        connection = self.borrow()
        try:
            with translated(self.file):
                _ = self._begin(connection, write=False)
                pending = changed(self._layouts(connection), tables)
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

    @property
    def is_in_use(self) -> bool:
        """Whether it has a connection."""
        return bool(self.active or self._idle or self._closing)

    @property
    def is_open(self) -> bool:
        """Whether `open` was called, and `close` not since."""
        return self._is_open

    def transaction(self, *, write: bool) -> SQLiteTransaction:
        return SQLiteTransaction(self, write)

    def close(self) -> None:
        self.check_fork()
        with self._mutex:
            if self._is_open:
                self.generation += 1
            self._is_open, self._opened, self._codecs = False, frozenset(), {}
        release(self.real_path, self)
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that wait for the next transaction."""
        with self._mutex:
            idle, self._idle = self._idle, []
            self._closing += idle
        # Another thread may be closing others meanwhile.
        while idle:
            with translated(self.file):
                idle[-1].close()
            self._closing.remove(idle.pop())

    def verify(self) -> None:
        """See that every page of the file is sound, and every row of every table a record.

        Takes as long as reading all of it, while others read and write. Raises `StoreCorrupt`.
        """
        self.check_fork()
        me = self.enter_thread()
        try:
            connection, _ = self.begin(write=False)
            try:
                with translated(self.file):
                    check_whole(connection, self.file.path)
                    self.file.driver.check(connection)
            finally:
                self.end(connection, write=False)
        finally:
            self.leave_thread(me)

    # What follows is for the transactions of this store.

    def check_fork(self) -> None:
        """Leave the parent's connections and locks behind in a child process."""
        if self._process is not Process.token:
            inherited.append((self._idle, self._closing))
            self._idle, self._closing, self._mutex, self.active = [], [], threading.Lock(), set()
            self._process = Process.token

    def enter_thread(self) -> int:
        """Note that this thread, which is returned, has a transaction; `StoreError` if it has one already."""
        me = threading.get_ident()
        if me in self.active:
            raise StoreError("a transaction is already under way in this thread: end it first")
        self.active.add(me)
        return me

    def leave_thread(self, thread: int) -> None:
        """The inverse of `enter_thread`; another thread may call it."""
        self.active.discard(thread)

    def _turns(self) -> Turns:
        key = (self._process, self.real_path)
        return _turns.get(key) or _turns.setdefault(key, Turns())

    def take_turn(self) -> None:
        """Be the only writer of this process; `StoreBusy` after `busy_timeout`."""
        if not self._turns().take(self.file.busy_timeout):
            raise StoreBusy(
                f"{self.file.path}: another thread has been writing for {self.file.busy_timeout} s: try again"
            )

    def give_turn_back(self) -> None:
        """Let the next one write."""
        self._turns().give_back()

    def begin(self, *, write: bool) -> tuple[Connection, dict[str, Codec]]:
        """A connection with a transaction begun, and the codecs for what it sees."""
        if not self._is_open:
            raise StoreClosed(f"{self.file.path}: the store is not open: call open() first")
        check_usable(self.real_path)
        if write and self.file.mode == "ro":
            raise StoreReadOnly(f'{self.file.path}: this store only reads: open it with mode="rw" to write')
        if write:
            self.take_turn()
        try:
            connection = self.borrow()
            try:
                codecs = patiently(self.file, lambda: self._begin(connection, write=write))
                if not write:
                    self.file.limit(connection)
            except self.file.driver.error as error:
                self.give_back(connection)
                raise self.file.typed(error) from error
            except BaseException:
                self.give_back(connection)
                raise
        except BaseException:
            if write:
                self.give_turn_back()
            raise
        return connection, codecs

    def end(self, connection: Connection, *, write: bool) -> None:
        """Give back what `begin` took."""
        self.give_back(connection)
        if write:
            self.give_turn_back()

    def borrow(self) -> Connection:
        """An idle connection, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self.file)

    def give_back(self, connection: Connection) -> None:
        """End a connection's transaction, if it still has one, and keep it for the next."""
        try:
            self.file.unlimit(connection)
            if connection.in_transaction:
                _ = connection.execute("ROLLBACK")
            if self.file.driver.reusable(connection):
                with self._mutex:
                    if self._is_open and len(self._idle) < _IDLE_LIMIT:
                        self._idle.append(connection)
                        return
        except self.file.driver.error:
            _log.warning("%s: a rollback failed; the connection is closed", self.file.path, exc_info=True)
        with suppress(self.file.driver.error):
            connection.close(True)

    def _begin(self, connection: Connection, *, write: bool) -> dict[str, Codec]:
        if connection.in_transaction:
            _ = connection.execute("ROLLBACK")
        _ = connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        # This read also fixes the state that a reading transaction sees.
        row = connection.execute(COUNTER).fetchone()
        if row is None:
            raise StoreCorrupt(f"{self.file.path}: the list of tables is missing: restore a copy of the file")
        codecs = self._codecs.get(row[0])
        if codecs is None:
            layouts = self._layouts(connection)
            names = self._opened if self.file.mode == "rwc" else layouts
            codecs = {name: Codec(layouts[name]) for name in names if name in layouts}
            with self._mutex:
                kept = dict(itertools.islice(reversed(self._codecs.items()), _LAYOUTS_LIMIT - 1))
                self._codecs = {**kept, row[0]: codecs}
        return codecs

    def _layouts(self, connection: Connection) -> dict[str, Layout]:
        try:
            layouts = read_layouts(connection)
        except (ValueError, TypeError) as error:
            raise StoreCorrupt(f"{self.file.path}: the list of tables is damaged: restore a copy") from error
        self.file.driver.check(connection)
        return layouts
