"""The file of a SQLite store: looking at it before it is touched, connecting, and what its errors mean."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final, Protocol, TypeVar, cast

import apsw
import attrs

from tidesync.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreTooNew,
    StoreUnavailable,
)
from tidesync.stores.sql.ddl import APPLICATION_ID, FORMAT
from tidesync.stores.sql.functions import SQL_FUNCTIONS
from tidesync.stores.sql.migrations import Database, create_catalogue
from tidesync.stores.sql.rows import SqlValue

T = TypeVar("T")

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_STEPS: Final = 5_000  # of SQLite's machine: some hundred microseconds
_STATEMENTS: Final = 256
_CACHE_KIB: Final = 8_192
_LOG_LIMIT: Final = 16 * 1024 * 1024


class Connection(Database, Protocol):
    """What is used of `apsw.Connection`; its own types are not complete."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def changes(self) -> int:
        """How many rows the last statement changed."""
        ...

    def total_changes(self) -> int:
        """How many rows were changed since the connection was opened."""
        ...

    def pragma(self, name: str, value: SqlValue = ..., /) -> object:
        """Set a pragma and return what it answers."""
        ...

    def set_busy_timeout(self, milliseconds: int, /) -> None:
        """How long to wait for others."""
        ...

    def config(self, op: int, /, *args: int) -> int:
        """Set an option."""
        ...

    def set_progress_handler(self, handler: Callable[[], bool] | None, nsteps: int = ..., /) -> None:
        """What is asked every so many steps whether to interrupt them."""
        ...

    def create_scalar_function(
        self,
        name: str,
        function: Callable[..., SqlValue],
        numargs: int = ...,
        /,
        *,
        deterministic: bool = ...,
    ) -> None:
        """Register a function."""
        ...

    def close(self, force: bool = ..., /) -> None:
        """Close it."""
        ...


@attrs.frozen
class File:
    """Where a store lives and how it is written."""

    path: str
    synchronous: str
    busy_timeout: float
    mode: str = "rwc"
    read_timeout: float | None = None

    def limit(self, connection: Connection) -> None:
        """End what is read on the connection from now on when its time is over."""
        if self.read_timeout is not None:
            end = time.monotonic() + self.read_timeout
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)

    def unlimit(self, connection: Connection) -> None:
        """The inverse of `limit`."""
        if self.read_timeout is not None:
            connection.set_progress_handler(None)

    def typed(self, error: apsw.Error) -> StoreError:
        """What a driver's error means for the user, and what to do about it."""
        path = self.path
        match error:
            case apsw.BusyError() | apsw.LockedError():
                return StoreBusy(
                    f"{path}: another process has been writing for {self.busy_timeout} s: try again"
                )
            case apsw.InterruptError():
                return StoreTimeout(f"{path}: a read took more than {self.read_timeout} s: ask for less")
            case apsw.ReadOnlyError():
                return StoreReadOnly(
                    f"{path}: cannot be written: mend the permissions of the file and its folder"
                )
            case apsw.FullError():
                return StoreFull(f"{path}: the disk is full; nothing of the transaction was kept: make room")
            case apsw.NotADBError():
                return StoreCorrupt(f"{path}: not a tidesync database: choose another path")
            case apsw.CorruptError():
                return StoreCorrupt(
                    f"{path}: the file is damaged, and was not touched: put it aside with its -wal file,"
                    " then restore a copy, or begin anew and pull"
                )
            case apsw.CantOpenError() | apsw.PermissionsError() | apsw.AuthError():
                return StoreUnavailable(
                    f"{path}: cannot be opened: look at the path and its permissions ({error})"
                )
            case apsw.IOError():
                return StoreUnavailable(f"{path}: the disk fails: look at the disk, and try again ({error})")
            case _:
                return StoreError(f"{path}: {error}")


class Process:
    """Tells a process from the one that it was forked from."""

    token: ClassVar[object] = object()

    @classmethod
    def renew(cls) -> None:
        """To be called in a child."""
        cls.token = object()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=Process.renew)


@contextmanager
def translated(file: File) -> Generator[None]:
    """Turn the driver's errors into the store's, chained."""
    try:
        yield
    except apsw.Error as error:
        raise file.typed(error) from error


def check_file(file: File) -> None:
    """Refuse what is not a file of ours, reading only; raises the `StoreError` that says what to do."""
    path = Path(file.path)
    folder = path.parent
    try:
        if path.is_dir():
            raise StoreUnavailable(f"{path}: is a directory: name a file in it")
        if not folder.is_dir():
            raise StoreUnavailable(f"{path}: the folder {folder} does not exist: create it first")
        if path.exists():
            _check_header(path, new=file.mode == "rwc")
        elif file.mode != "rwc":
            raise StoreUnavailable(f"{path}: there is no such file: look at the path")
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot be opened: {error.strerror}") from error
    if file.mode == "ro":
        return
    for place in (path, folder):
        if place.exists() and not os.access(place, os.W_OK):
            raise StoreReadOnly(
                f"{place}: cannot be written: mend the permissions of the file and its folder"
            )


def _check_header(path: Path, *, new: bool) -> None:
    header = _first_bytes(path)
    if not header and not new:
        raise StoreCorrupt(f"{path}: is empty: not a tidesync database: choose another path")
    if not header or Path(f"{path}-journal").exists():
        return  # a new file, or one that SQLite first has to recover
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise StoreCorrupt(f"{path}: not a tidesync database: choose another path")
    _check_marks(str(path), int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big"))


def _first_bytes(path: Path) -> bytes:
    # Closing a file lets go of every lock that the process has on it, also those of connections: SQLite's own
    # layer knows of them, and waits with the closing.
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    try:
        file = apsw.VFSFile("", str(path.absolute()), flags)
    except apsw.CantOpenError as error:
        raise StoreUnavailable(f"{path}: cannot be opened: look at its permissions") from error
    try:
        return file.xRead(_HEADER, 0)
    finally:
        file.xClose()


def _check_marks(path: str, application: int, version: int) -> None:
    if application != APPLICATION_ID:
        raise StoreCorrupt(f"{path}: a SQLite database of another program: choose another path")
    if version > FORMAT:
        raise StoreTooNew(
            f"{path}: written by a newer tidesync (format {version}, this one knows {FORMAT}): upgrade it",
            found=version,
            supported=FORMAT,
        )


def patiently(file: File, step: Callable[[], T]) -> T:
    """Repeat a step while SQLite is busy: switching to WAL and recovery do not wait by themselves."""
    end = time.monotonic() + file.busy_timeout
    while True:
        try:
            return step()
        except (apsw.BusyError, apsw.ProtocolError):
            if time.monotonic() >= end:
                raise
            time.sleep(0.01)


def _connected(file: File) -> Connection:
    name, flags = _opening(file)
    connection = cast("Connection", apsw.Connection(name, flags, None, _STATEMENTS))
    connection.set_busy_timeout(int(file.busy_timeout * 1000))
    if file.mode == "ro" and _has_log(file):
        # Whoever closes last would move the log into the file.
        _ = connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # A misspelt column must be an error, never a text.
    _ = connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    _ = connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    return connection


def _opening(file: File) -> tuple[str, int]:
    """What to tell SQLite to open, and how."""
    if file.mode == "rwc":
        return file.path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    path = Path(file.path)
    if file.mode == "rw" or all(os.access(place, os.W_OK) for place in (path, path.parent)):
        # A reader too writes its locks beside the file, and clears them away if it may.
        return file.path, apsw.SQLITE_OPEN_READWRITE
    if _has_log(file):
        return file.path, apsw.SQLITE_OPEN_READONLY
    # Where nothing can be written, and no log waits, nobody writes: SQLite then needs no locks.
    return f"{path.as_uri()}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def _has_log(file: File) -> bool:
    log = Path(f"{file.path}-wal")
    return log.exists() and log.stat().st_size > 0


def look(file: File) -> int:
    """See that a file is ours, without changing it; returns its format."""
    with translated(file):
        connection = _connected(file)
        try:
            application, version, _ = patiently(file, lambda: _marks(connection))
        finally:
            connection.close(True)
    _check_marks(file.path, application, version)
    return version


def create(file: File) -> None:
    """Make an empty file ours, or see that the file is; several processes may do so at once."""
    with translated(file):
        connection = _connected(file)
        try:
            patiently(file, lambda: _create(connection, file.path))
        finally:
            connection.close(True)


def _create(connection: Connection, path: str) -> None:
    application, version, tables = _marks(connection)
    if application == 0 and tables == 0:
        # Before WAL is switched on, so that the mark is in the file itself.
        _ = connection.execute("BEGIN IMMEDIATE")
        try:
            application, version, tables = _marks(connection)
            if application == 0 and tables == 0:
                _ = connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                _ = connection.execute(f"PRAGMA user_version = {FORMAT}")
                create_catalogue(connection)
                application, version = APPLICATION_ID, FORMAT
            _ = connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                _ = connection.execute("ROLLBACK")
    _check_marks(path, application, version)


def _marks(connection: Connection) -> tuple[int, int, int]:
    statement = (
        "SELECT (SELECT application_id FROM pragma_application_id),"
        " (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)"
    )
    application, version, tables = connection.execute(statement).fetchone()
    return application, version, tables


def connect(file: File) -> Connection:
    """A new connection to a file that `create` has seen."""
    with translated(file):
        connection = _connected(file)
        try:
            patiently(file, lambda: _configure(connection, file))
        except BaseException:
            connection.close(True)
            raise
    return connection


def _configure(connection: Connection, file: File) -> None:
    if file.mode == "ro":
        _ = connection.pragma("query_only", True)
    else:
        _configure_writer(connection, file)
    _ = connection.pragma("cache_size", -_CACHE_KIB)
    _ = connection.pragma("cell_size_check", True)
    for name, (function, arguments) in SQL_FUNCTIONS.items():
        connection.create_scalar_function(name, function, arguments, deterministic=True)


def _configure_writer(connection: Connection, file: File) -> None:
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StoreUnavailable(
            f"{file.path}: this file system cannot share memory: use a local disk ({mode})"
        )
    _ = connection.pragma("synchronous", file.synchronous)
    _ = connection.pragma("journal_size_limit", _LOG_LIMIT)
    if sys.platform == "darwin" and file.synchronous == "full":
        _ = connection.pragma("fullfsync", True)
