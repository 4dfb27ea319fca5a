"""The file of a SQLite store, encrypted or not: looking at it before it is touched, connecting, its errors."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import attrs

from tidesync.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnavailable,
)
from tidesync.stores.sql.ddl import APPLICATION_ID, FORMAT
from tidesync.stores.sql.driver import Connection, Driver, Failure, Opening, check_marks, marks
from tidesync.stores.sql.migrations import create_catalogue

T = TypeVar("T")

_STEPS: Final = 5_000  # of SQLite's machine: some hundred microseconds
_CACHE_KIB: Final = 8_192
_LOG_LIMIT: Final = 16 * 1024 * 1024


@attrs.frozen
class File:
    """Where a store lives, through what it is reached, and how it is written."""

    driver: Driver
    path: str
    synchronous: str
    busy_timeout: float
    mode: str = "rwc"
    read_timeout: float | None = None

    @property
    def real_path(self) -> str:
        """Where a link leads: SQLite keeps the log there."""
        return os.path.realpath(self.path)

    def limit(self, connection: Connection) -> None:
        """End what is read on the connection from now on when its time is over."""
        if self.read_timeout is not None:
            end = time.monotonic() + self.read_timeout
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)

    def unlimit(self, connection: Connection) -> None:
        """The inverse of `limit`."""
        if self.read_timeout is not None:
            connection.set_progress_handler(None)

    def typed(self, error: Exception) -> StoreError:
        """What a driver's error means for the user, and what to do about it."""
        path = self.path
        match self.driver.failure(error):
            case Failure.BUSY:
                return StoreBusy(
                    f"{path}: another process has been writing for {self.busy_timeout} s: try again"
                )
            case Failure.INTERRUPTED:
                return StoreTimeout(f"{path}: a read took more than {self.read_timeout} s: ask for less")
            case Failure.READ_ONLY:
                return StoreReadOnly(
                    f"{path}: cannot be written: mend the permissions of the file and its folder"
                )
            case Failure.FULL:
                return StoreFull(f"{path}: the disk is full; nothing of the transaction was kept: make room")
            case Failure.NOT_A_DATABASE:
                return self.driver.not_a_database(path)
            case Failure.CORRUPT:
                return StoreCorrupt(
                    f"{path}: the file is damaged, and was not touched: put it aside with its -wal file,"
                    " then restore a copy, or begin anew and pull"
                )
            case Failure.CANNOT_OPEN:
                return StoreUnavailable(
                    f"{path}: cannot be opened: look at the path and its permissions ({error})"
                )
            case Failure.IO:
                return StoreUnavailable(f"{path}: the disk fails: look at the disk, and try again ({error})")
            case Failure.RACE | Failure.OTHER:
                return StoreError(f"{path}: {error}")


@contextmanager
def translated(file: File) -> Generator[None]:
    """Turn the driver's errors into the store's, chained."""
    try:
        yield
    except file.driver.error as error:
        raise file.typed(error) from error


def check_file(file: File) -> None:
    """Refuse what is not a file of ours, reading only; raises the `StoreError` that says what to do."""
    path = Path(file.real_path)
    folder = path.parent
    try:
        if path.is_dir():
            raise StoreUnavailable(f"{path}: is a directory: name a file in it")
        if not folder.is_dir():
            raise StoreUnavailable(f"{path}: the folder {folder} does not exist: create it first")
        if path.exists():
            _check_content(file)
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


def _check_content(file: File) -> None:
    if Path(file.path).stat().st_size:
        with translated(file):
            file.driver.inspect(file.real_path, file.busy_timeout)
    elif file.mode != "rwc":
        raise StoreCorrupt(f"{file.path}: is empty: not a tidesync database: choose another path")


def patiently(file: File, step: Callable[[], T]) -> T:
    """Repeat a step while SQLite is busy: switching to WAL and recovery do not wait by themselves."""
    end = time.monotonic() + file.busy_timeout
    while True:
        try:
            return step()
        except file.driver.error as error:
            waits = file.driver.failure(error) in (Failure.BUSY, Failure.RACE)
            if not waits or time.monotonic() >= end:
                raise
            time.sleep(0.01)


def connected(file: File) -> Connection:
    """A new connection, not yet set up."""
    return file.driver.connect(_opening(file), file.busy_timeout)


def _opening(file: File) -> Opening:
    """What to tell SQLite to open, and how."""
    if file.mode == "rwc":
        return Opening(file.path, "create")
    path = Path(file.real_path)
    if file.mode == "rw":
        return Opening(file.path, "write")
    if all(os.access(place, os.W_OK) for place in (path, path.parent)):
        # A reader too writes its locks beside the file, and clears them away if it may.
        return Opening(file.path, "write", keep_log=_has_log(file))
    if _has_log(file):
        return Opening(file.path, "read", keep_log=True)
    # Where nothing can be written, and no log waits, nobody writes: SQLite then needs no locks.
    return Opening(file.path, "frozen")


def _has_log(file: File) -> bool:
    log = Path(f"{file.real_path}-wal")
    return log.exists() and log.stat().st_size > 0


def look(file: File) -> int:
    """See that a file is ours, without changing it; returns its format."""
    with translated(file):
        connection = connected(file)
        try:
            application, version, _ = patiently(file, lambda: marks(connection))
        finally:
            connection.close(True)
    check_marks(file.path, application, version)
    return version


def create(file: File) -> None:
    """Make an empty file ours, or see that the file is; several processes may do so at once."""
    with translated(file):
        connection = connected(file)
        try:
            patiently(file, lambda: _create(connection, file.path))
        finally:
            connection.close(True)


def _create(connection: Connection, path: str) -> None:
    application, version, tables = marks(connection)
    if application == 0 and tables == 0:
        # Before WAL is switched on, so that the mark is in the file itself.
        _ = connection.execute("BEGIN IMMEDIATE")
        try:
            application, version, tables = marks(connection)
            if application == 0 and tables == 0:
                _ = connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                _ = connection.execute(f"PRAGMA user_version = {FORMAT}")
                create_catalogue(connection)
                application, version = APPLICATION_ID, FORMAT
            _ = connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                _ = connection.execute("ROLLBACK")
    check_marks(path, application, version)


def connect(file: File) -> Connection:
    """A new connection to a file that `create` has seen."""
    with translated(file):
        connection = connected(file)
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
