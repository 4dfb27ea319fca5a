"""SQLite through apsw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, Protocol, cast

import apsw

from tidesync.errors import StoreCorrupt, StoreError, StoreUnavailable
from tidesync.stores.sql.driver import Connection, Failure, Opening, check_marks
from tidesync.stores.sql.functions import SQL_FUNCTIONS
from tidesync.stores.sql.rows import SqlValue

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_STATEMENTS: Final = 256
_FLAGS: Final = {
    "create": apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
    "write": apsw.SQLITE_OPEN_READWRITE,
    "read": apsw.SQLITE_OPEN_READONLY,
    "frozen": apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
}
_FAILURES: Final[tuple[tuple[tuple[type[apsw.Error], ...], Failure], ...]] = (
    ((apsw.BusyError, apsw.LockedError), Failure.BUSY),
    ((apsw.ProtocolError,), Failure.RACE),
    ((apsw.InterruptError,), Failure.INTERRUPTED),
    ((apsw.ReadOnlyError,), Failure.READ_ONLY),
    ((apsw.FullError,), Failure.FULL),
    ((apsw.NotADBError,), Failure.NOT_A_DATABASE),
    ((apsw.CorruptError,), Failure.CORRUPT),
    ((apsw.CantOpenError, apsw.PermissionsError, apsw.AuthError), Failure.CANNOT_OPEN),
    ((apsw.IOError,), Failure.IO),
)


class _Connection(Connection, Protocol):
    """What else is used of `apsw.Connection`; its own types are not complete."""

    def set_busy_timeout(self, milliseconds: int, /) -> None: ...
    def config(self, op: int, /, *args: int) -> int: ...
    def create_scalar_function(
        self,
        name: str,
        function: Callable[..., SqlValue],
        numargs: int = ...,
        /,
        *,
        deterministic: bool = ...,
    ) -> None: ...


class ApswDriver:
    """The driver of `SQLiteStore`."""

    library: ClassVar[str] = "apsw"
    error: ClassVar[type[Exception]] = apsw.Error
    whole_texts: ClassVar[bool] = True

    @property
    def encrypts(self) -> bool:
        return False

    def connect(self, opening: Opening, busy_timeout: float) -> Connection:
        name = opening.path
        if opening.access == "frozen":
            name = f"{Path(name).as_uri()}?immutable=1"
        connection = cast("_Connection", apsw.Connection(name, _FLAGS[opening.access], None, _STATEMENTS))
        connection.set_busy_timeout(int(busy_timeout * 1000))
        if opening.keep_log:
            # Whoever closes last would move the log into the file.
            _ = connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        # A misspelt column must be an error, never a text.
        _ = connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        _ = connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        for function, (call, arguments) in SQL_FUNCTIONS.items():
            connection.create_scalar_function(function, call, arguments, deterministic=True)
        return connection

    def inspect(self, path: str, busy_timeout: float) -> None:  # noqa: ARG002  it never waits
        header = _first_bytes(path)
        if not header or Path(f"{path}-journal").exists():
            return  # a new file, or one that SQLite first has to recover
        if len(header) < _HEADER or not header.startswith(_MAGIC):
            raise self.not_a_database(path)
        check_marks(path, int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big"))

    def failure(self, error: Exception) -> Failure:
        return next((failure for classes, failure in _FAILURES if isinstance(error, classes)), Failure.OTHER)

    def not_a_database(self, path: str) -> StoreError:
        return StoreCorrupt(
            f"{path}: not a tidesync database: choose another path; SQLCipherStore opens an encrypted one"
        )

    def check(self, connection: Connection) -> None:
        """SQLite says by itself what it cannot read."""

    def reusable(self, connection: Connection) -> bool:  # noqa: ARG002  each one is
        return True

    def stop(self, cursor: object) -> None:
        if isinstance(cursor, apsw.Cursor):
            cursor.close(True)


def _first_bytes(path: str) -> bytes:
    # Closing a file lets go of every lock that the process has on it, also those of connections: SQLite's own
    # layer knows of them, and waits with the closing.
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    try:
        file = apsw.VFSFile("", str(Path(path).absolute()), flags)
    except apsw.CantOpenError as error:
        raise StoreUnavailable(f"{path}: cannot be opened: look at its permissions") from error
    try:
        return file.xRead(_HEADER, 0)
    finally:
        file.xClose()
