"""SQLite with SQLCipher, through sqlcipher3, whose interface is that of the standard library's sqlite3.

What it does differently from apsw, as seen with SQLCipher 4.19:

* A page whose check fails is a page of zeros to SQLite, which mostly finds that out by itself. It does not where the
  page held the end of a long value; `PRAGMA cipher_status` then tells, so it is asked after every read (3 us).
* Texts are cut at U+0000 on their way into a function, and on their way out.
* Errors on the first page mean a wrong key, a file that is not encrypted, or damage: nobody can tell which.
* It writes what goes wrong to the standard error stream, until it is told not to.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, cast

from tidesync.errors import MissingExtra, StoreClosed, StoreCorrupt, StoreError, WrongKey
from tidesync.stores.keys import Key
from tidesync.stores.sql.driver import Access, Connection, Cursor, Failure, Opening, check_marks, marks
from tidesync.stores.sql.functions import SQL_FUNCTIONS, carried
from tidesync.stores.sql.rows import SqlValue

try:
    _dbapi: Any = import_module("sqlcipher3.dbapi2")
except ImportError as missing:
    raise MissingExtra("sqlcipher3", "sqlcipher") from missing

_STATEMENTS: Final = 256
_PAGE: Final = 4096
_FORMAT: Final = 4
"""SQLCipher's own; later versions of it have other defaults, and still read this one."""
_NO_KEY: Final = f"x'{'00' * 32}'"
_QUERY: Final[dict[Access, str]] = {"write": "mode=rw", "read": "mode=ro", "frozen": "immutable=1"}
_MALFORMED: Final = "database disk image is malformed"
_FAILURES: Final = {
    3: Failure.CANNOT_OPEN, 5: Failure.BUSY, 6: Failure.BUSY, 8: Failure.READ_ONLY, 9: Failure.INTERRUPTED,
    10: Failure.IO, 11: Failure.CORRUPT, 13: Failure.FULL, 14: Failure.CANNOT_OPEN, 15: Failure.RACE,
    23: Failure.CANNOT_OPEN, 26: Failure.NOT_A_DATABASE,
}  # fmt: skip
_MESSAGES: Final = {"database is locked": Failure.BUSY, _MALFORMED: Failure.CORRUPT}
"""Of errors that come without a code of their own."""


class _Raw(Protocol):
    """What is used of sqlcipher3's connections; it ships no types."""

    @property
    def in_transaction(self) -> bool: ...
    @property
    def total_changes(self) -> int: ...
    @property
    def execute(self) -> Callable[..., Cursor]: ...
    @property
    def executemany(self) -> Callable[..., Cursor]: ...
    def set_key(self, key: str, /) -> None: ...
    def reset_key(self, key: str, /) -> None: ...
    def set_progress_handler(self, handler: Callable[[], bool] | None, steps: int, /) -> None: ...
    def create_function(
        self, name: str, arguments: int, function: object, /, *, deterministic: bool
    ) -> None: ...
    def close(self) -> None: ...


class _Cursor(Protocol):
    def close(self) -> None: ...


class CipherConnection:
    """A connection of sqlcipher3 that offers what the stores use. `key` opened it; None: the file is not encrypted."""

    def __init__(self, raw: _Raw, key: Key | None) -> None:
        self.raw, self.key = raw, key
        self.execute = raw.execute
        self.executemany = raw.executemany

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.in_transaction

    def changes(self) -> int:
        """How many rows the last statement changed."""
        ((found,),) = self.execute("SELECT changes()")
        return int(found)

    def total_changes(self) -> int:
        """How many rows were changed since the connection was opened."""
        return self.raw.total_changes

    def pragma(self, name: str, value: SqlValue = None, /) -> object:
        """Set a pragma and return the first value that it answers."""
        row = self.execute(f"PRAGMA {name}" if value is None else f"PRAGMA {name} = {value!s}").fetchone()
        return None if row is None else row[0]

    def set_progress_handler(self, handler: Callable[[], bool] | None, nsteps: int = 1, /) -> None:
        """What is asked every so many steps whether to interrupt them."""
        self.raw.set_progress_handler(handler, nsteps)

    def close(self, force: bool = False, /) -> None:  # noqa: ARG002  sqlcipher3 ends what runs
        """Close it."""
        self.raw.close()


class CipherDriver:
    """The driver of `SQLCipherStore`; without a key, of the plain files that are encrypted or made."""

    library: ClassVar[str] = "sqlcipher3"
    error: ClassVar[type[Exception]] = _dbapi.Error
    whole_texts: ClassVar[bool] = False

    def __init__(self, key: Key | None, *, wipe_memory: bool = False) -> None:
        self._source = key
        self._key: Key | None = None
        self._wipe_memory = wipe_memory

    @property
    def encrypts(self) -> bool:
        """Whether it has a key, or a function to ask for one."""
        return self._source is not None

    def unlock(self) -> None:
        """Ask for the key, if it is a function, and keep the answer until `lock`."""
        if self._source is not None:
            self._key = self._source.asked()

    def lock(self) -> None:
        """Forget the key that `unlock` asked for."""
        self._key = None

    def use(self, key: Key) -> None:
        """Another key opens the file from now on. A function is still asked at the next `unlock`."""
        if self._source is self._key:
            self._source = key
        self._key = key

    def connect(self, opening: Opening, busy_timeout: float) -> Connection:
        if self.encrypts and self._key is None:
            raise StoreClosed(f"{opening.path}: the store is not open: call open() first")
        connection = CipherConnection(_connected(opening, busy_timeout), self._key)
        try:
            if self._key is not None:
                _unlock(connection.raw, self._key, opening.path)
            # Sorting, and rolling back one statement, would put rows in files that nobody encrypts.
            _ = connection.pragma("temp_store", "MEMORY")
            if self._wipe_memory:
                _ = connection.pragma("cipher_memory_security", "ON")
            for name, (function, arguments) in SQL_FUNCTIONS.items():
                connection.raw.create_function(name, arguments, _carrying(function), deterministic=True)
        except BaseException:
            connection.close(True)
            raise
        return connection

    def inspect(self, path: str, busy_timeout: float) -> None:
        if Path(f"{path}-journal").exists():
            return  # SQLite first has to recover it
        log = Path(f"{path}-wal")
        used = log.exists() and log.stat().st_size > 0
        readable = self._readable(Opening(path, "read" if used else "frozen"), busy_timeout)
        if not readable and not used:
            # Another process may have begun to write; this takes locks.
            readable = self._readable(Opening(path, "read"), busy_timeout)
        if not readable:
            raise self._unreadable(path, busy_timeout)

    def _readable(self, opening: Opening, busy_timeout: float) -> bool:
        """False if the first page is not what the key makes of it; raises `StoreError` if it is not one of ours."""
        try:
            connection = self.connect(opening, busy_timeout)
            try:
                application, version, _ = marks(connection)
            finally:
                connection.close(True)
        except self.error as error:
            # Anything else is told, or waited for, when the file is opened to be used: others may come and go now.
            return self.failure(error) is not Failure.NOT_A_DATABASE
        check_marks(opening.path, application, version)
        return True

    def _unreadable(self, path: str, busy_timeout: float) -> StoreError:
        """Why a file's first page cannot be read, as far as anybody can tell."""
        if self._key is None:
            return self.not_a_database(path)
        connection = CipherDriver(None).connect(Opening(path, "frozen"), busy_timeout)
        try:
            _ = marks(connection)
        except self.error:
            if Path(path).stat().st_size % _PAGE:
                return StoreCorrupt(f"{path}: not a tidesync database, encrypted or not: choose another path")
            return self.not_a_database(path)
        finally:
            connection.close(True)
        return WrongKey(
            f"{path}: is not encrypted: open it with SQLiteStore, or encrypt it with encrypt_file"
        )

    def failure(self, error: Exception) -> Failure:
        code = getattr(error, "sqlite_errorcode", 0)
        return _FAILURES.get(code & 0xFF) or _MESSAGES.get(str(error), Failure.OTHER)

    def not_a_database(self, path: str) -> StoreError:
        if self._key is None:
            return StoreCorrupt(f"{path}: not a tidesync database, or an encrypted one: choose another path")
        return WrongKey(
            f"{path}: this key does not open it: try the one that it was last given;"
            " if it is the right one, the first page is damaged: restore a copy"
        )

    def check(self, connection: Connection) -> None:
        # Also once the key is forgotten: a read may go on while another thread closes the store.
        if self.encrypts and connection.execute("PRAGMA cipher_status").fetchone() != ("1",):
            raise self.error(_MALFORMED)

    def reusable(self, connection: Connection) -> bool:
        assert isinstance(connection, CipherConnection)
        if connection.key is not self._key:
            return False
        return self._key is None or connection.execute("PRAGMA cipher_status").fetchone() == ("1",)

    def stop(self, cursor: object) -> None:
        if isinstance(cursor, _dbapi.Cursor):
            cast("_Cursor", cursor).close()


_quiet = False


def _connected(opening: Opening, busy_timeout: float) -> _Raw:
    global _quiet  # noqa: PLW0603  SQLCipher has one log for the process
    access = "read" if opening.keep_log else opening.access
    query = _QUERY.get(access)
    name = opening.path if query is None else f"{Path(opening.path).as_uri()}?{query}"
    raw: _Raw = _dbapi.connect(
        name,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
        uri=query is not None,
    )
    if not _quiet:
        # What goes wrong is raised. An application that wants SQLCipher's log can switch it on again.
        _ = raw.execute("PRAGMA cipher_log = off").fetchone()
        _quiet = True
    return raw


def _unlock(raw: _Raw, key: Key, path: str) -> None:
    salt: str | None = None
    if key.salted and Path(path).exists() and Path(path).stat().st_size:
        # The salt is the beginning of the file. SQLite reads it, because closing a file that one has opened by
        # oneself lets go of the locks of every connection.
        raw.set_key(_NO_KEY)
        salt = raw.execute("PRAGMA cipher_salt").fetchone()[0]
    key.give(raw.set_key, salt)
    _ = raw.execute(f"PRAGMA cipher_compatibility = {_FORMAT}").fetchone()


def _carrying(function: Callable[..., SqlValue]) -> Callable[..., SqlValue]:
    def call(*arguments: SqlValue) -> SqlValue:
        return carried(function(*arguments))

    return call


def rekey(connection: Connection, key: Key) -> None:
    """Write every page anew under another key, in one transaction; the connection can then only be closed."""
    assert isinstance(connection, CipherConnection)
    salt: str = connection.execute("PRAGMA cipher_salt").fetchone()[0]
    key.give(connection.raw.reset_key, salt)
    if connection.execute("PRAGMA cipher_status").fetchone() != ("1",):
        raise CipherDriver.error(_MALFORMED)
    # SQLCipher does not say that a page could not be written; the next read does, except through a table of pragmas.
    _ = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def damaged_pages(connection: Connection) -> list[str]:
    """What SQLCipher says of the pages in the file itself, whatever is in the log."""
    return [str(row[0]) for row in connection.execute("PRAGMA cipher_integrity_check")]


def attach_plain(connection: Connection, path: str, name: str) -> None:
    """Attach a file that is not encrypted. A key would be in the parameters, so the other file is the main one."""
    _ = connection.execute(f"ATTACH ? AS {name} KEY ''", (path,))
