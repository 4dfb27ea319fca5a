"""What a store of SQLite's kind asks of a driver. apsw_driver.py and sqlcipher_driver.py give it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias

import attrs

from tidesync.errors import StoreCorrupt, StoreError, StoreTooNew
from tidesync.stores.sql.ddl import APPLICATION_ID, FORMAT
from tidesync.stores.sql.migrations import Cursor, Database
from tidesync.stores.sql.rows import SqlValue

Access: TypeAlias = Literal["create", "write", "read", "frozen"]


class Failure(Enum):
    """What a driver's error is about."""

    BUSY = auto()
    RACE = auto()
    """Like BUSY, between connections that open or recover the same file; SQLite does not wait by itself."""
    INTERRUPTED = auto()
    READ_ONLY = auto()
    FULL = auto()
    NOT_A_DATABASE = auto()
    CORRUPT = auto()
    CANNOT_OPEN = auto()
    IO = auto()
    OTHER = auto()


@attrs.frozen
class Opening:
    """How a file is opened.

    "create" makes it if there is none; "write" and "read" do not; "frozen" reads a file that nobody writes, and takes
    no locks. `keep_log`: closing does not move the log into the file.
    """

    path: str
    access: Access
    keep_log: bool = False


class Connection(Database, Protocol):
    """A connection as the stores use it."""

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
        """Set a pragma and return the first value that it answers."""
        ...

    def set_progress_handler(self, handler: Callable[[], bool] | None, nsteps: int = ..., /) -> None:
        """What is asked every so many steps whether to interrupt them."""
        ...

    def close(self, force: bool = ..., /) -> None:
        """Close it."""
        ...


class Driver(Protocol):
    """One library that speaks SQLite."""

    library: ClassVar[str]
    """Its name. Two libraries in one process must not open one file: they let go of each other's locks."""
    error: ClassVar[type[Exception]]
    """The root of its exceptions."""
    whole_texts: ClassVar[bool]
    """Whether a text with U+0000 in it reaches a registered function whole."""

    @property
    def encrypts(self) -> bool:
        """Whether what it writes is encrypted."""
        ...

    def connect(self, opening: Opening, busy_timeout: float) -> Connection:
        """A new connection, with the functions of functions.py."""
        ...

    def inspect(self, path: str, busy_timeout: float) -> None:
        """Refuse a file, which is not empty, that is not ours; only reads. Raises `StoreError`."""
        ...

    def failure(self, error: Exception) -> Failure:
        """What an error of the driver is about."""
        ...

    def not_a_database(self, path: str) -> StoreError:
        """What it means that a file's first page cannot be read."""
        ...

    def check(self, connection: Connection) -> None:
        """Raise `error` if what was read on the connection may not be what was written."""
        ...

    def reusable(self, connection: Connection) -> bool:
        """Whether a connection that came back may serve another transaction."""
        ...

    def stop(self, cursor: object) -> None:
        """End a statement that still runs, if the object is one."""
        ...


def marks(connection: Connection) -> tuple[int, int, int]:
    """The application id and the format in a file, and how many tables and indexes it has."""
    statement = (
        "SELECT (SELECT application_id FROM pragma_application_id),"
        " (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)"
    )
    application, version, tables = connection.execute(statement).fetchone()
    return application, version, tables


def check_marks(path: str | Path, application: int, version: int) -> None:
    """Refuse a database that is not ours, or of a newer format."""
    if application != APPLICATION_ID:
        raise StoreCorrupt(f"{path}: a SQLite database of another program: choose another path")
    if version > FORMAT:
        raise StoreTooNew(
            f"{path}: written by a newer tidesync (format {version}, this one knows {FORMAT}): upgrade it",
            found=version,
            supported=FORMAT,
        )


__all__ = ["Access", "Connection", "Cursor", "Driver", "Failure", "Opening", "check_marks", "marks"]
