"""Encrypting a store's file, and decrypting it: a copy is made, verified, and only then put in place.

Given two paths, the original stays as it is. Given the same path twice, the copy takes its place by one rename, once
it is verified and nobody else has the original open. Killed at any moment, both leave the original
or the finished copy under the path, and at most a file beside it whose name ends in "-unfinished", which the next
attempt replaces.
"""

from __future__ import annotations

import itertools
import os
import stat
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from tidesync.errors import ConfigurationError, StoreBusy, StoreCorrupt, StoreUnavailable, Unsupported
from tidesync.stores.file_store import checked
from tidesync.stores.keys import Key, KeySource
from tidesync.stores.sql.ddl import APPLICATION_ID, quoted
from tidesync.stores.sql.driver import Connection, Failure, Opening, marks
from tidesync.stores.sqlcipher_driver import CipherDriver, attach_plain, damaged_pages
from tidesync.stores.sqlite_check import check_whole
from tidesync.stores.sqlite_file import File, check_file, connected, look, patiently, translated
from tidesync.stores.turns import claim, release

if sys.platform != "win32":
    import fcntl

_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
_PLAIN: Final = "plain"
_POLLED: Final = 0.25
"""Seconds within which everybody who waits for a lock has looked again: SQLite does each tenth of a second."""


def encrypt_file(
    plain: str | os.PathLike[str],
    encrypted: str | os.PathLike[str],
    key: KeySource,
    *,
    busy_timeout: float = 30.0,
) -> None:
    """Make an encrypted copy of a SQLite store's file, or, given the same path twice, encrypt it in place.

    The copy is compared with the original, row by row, before it is put in place. Writers wait meanwhile; in place,
    nobody else may have the file open, or write meanwhile: `StoreBusy`. A second path that exists, or a log that was
    left beside it, is a `ConfigurationError`; so is, in place, a file with a second name (a hard link). Copies in one
    folder are made one after another. A disk may keep for long what a file held before: records are hidden for good
    only in a file that was never plain.
    """
    key = Key.of(key)
    key.check()
    _convert(_file(plain, None, busy_timeout), _file(encrypted, key.asked(), busy_timeout))


def decrypt_file(
    encrypted: str | os.PathLike[str],
    plain: str | os.PathLike[str],
    key: KeySource,
    *,
    busy_timeout: float = 30.0,
) -> None:
    """The inverse of `encrypt_file`, with the same care. Another key than the file's is `WrongKey`."""
    key = Key.of(key)
    key.check()
    _convert(_file(encrypted, key.asked(), busy_timeout), _file(plain, None, busy_timeout))


def _file(path: str | os.PathLike[str], key: Key | None, busy_timeout: float) -> File:
    driver = CipherDriver(key)
    driver.unlock()
    return File(driver, os.path.realpath(checked(path, busy_timeout)), "full", busy_timeout, "rw")


def _convert(source: File, target: File) -> None:
    in_place = source.path == target.path
    if in_place and os.name == "nt":
        raise Unsupported("a file that is open cannot be replaced here: name another path, then rename it")
    unfinished = File(target.driver, f"{target.path}-unfinished", "full", target.busy_timeout, "rw")
    with _claimed(source.path, target.path), _alone(target.path, target.busy_timeout):
        if not in_place:
            _check_free(target.path)
        check_file(source)
        if in_place:
            _check_one_name(source.path)
        version = look(source)
        try:
            with translated(source), _held(source) as holder:
                _make(unfinished.path, like=source.path)
                _fill(source, unfinished, version)
                with translated(unfinished):
                    _compare(holder, source, unfinished)
            if in_place:
                _exchange(source, unfinished)
            else:
                _check_free(target.path)
                _rename(unfinished.path, target.path)
        except BaseException:
            _remove(unfinished.path)
            raise


def _check_free(path: str) -> None:
    # SQLite would put a log, or a journal, that another file left into the new one.
    for name in (path, f"{path}-wal", f"{path}-journal"):
        if os.path.lexists(name):
            raise ConfigurationError(f"{name}: exists already, and was not touched: name another path")


def _check_one_name(path: str) -> None:
    if Path(path).stat().st_nlink > 1:
        raise ConfigurationError(
            f"{path}: has another name, a hard link, which would stay as it is: remove that, or name another path"
        )


@contextmanager
def _alone(path: str, timeout: float) -> Generator[None]:
    """Nobody else makes a file in the folder; `StoreBusy` after so many seconds.

    The lock is on the folder, so that it leaves nothing behind, and ends with the process. On Windows the system
    itself refuses to remove the file that another one fills.
    """
    if sys.platform == "win32":
        yield
        return
    try:
        folder = os.open(Path(path).parent, os.O_RDONLY)
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot be made: {error.strerror}") from error
    try:
        _lock(folder, path, timeout)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)  # a process that was forked meanwhile has it too
        os.close(folder)


def _lock(folder: int, path: str, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise StoreBusy(f"{path}: another copy is being made in this folder: try again") from error
            time.sleep(0.01)
        except OSError:
            return None  # some network file systems have no such lock


class _User:
    """Somebody who uses files."""


@contextmanager
def _claimed(*paths: str) -> Generator[None]:
    user = _User()
    try:
        for path in paths:
            claim(path, CipherDriver.library, user)
        yield
    finally:
        for path in paths:
            release(path, user)


@contextmanager
def _held(file: File) -> Generator[Connection]:
    """A connection to the original, to which nobody writes meanwhile."""
    with closing(connected(file)) as connection:
        _ = patiently(file, lambda: connection.execute("BEGIN IMMEDIATE"))
        yield connection


def _exchange(source: File, copy: File) -> None:
    """Put the copy in the original's place, if nobody else has that open, and nobody has written since."""
    with translated(source), closing(connected(source)) as last:
        _take_out_of_use(last, source)
        with translated(copy), closing(connected(copy)) as new:
            _ = new.execute("BEGIN EXCLUSIVE")
            # Only the rows tell: SQLite counts no change in a log, and the log is gone.
            if not _same(last, new):
                raise StoreBusy(
                    f"{source.path}: was written meanwhile: close it where it is open, and try again"
                )
            _rename(copy.path, source.path)
            # Whoever waits for the original now finds that it has moved, but would take the log of the new file for
            # its own: until they are gone, nobody can begin one.
            _ = last.execute("ROLLBACK")
            time.sleep(_POLLED)


def _take_out_of_use(connection: Connection, file: File) -> None:
    """Have the original alone, and without a log; `StoreBusy` if somebody else has it open."""
    try:
        # SQLite moves the log into the file, and refuses while anybody else has that open.
        _ = patiently(file, lambda: connection.pragma("journal_mode", "delete"))
        _ = patiently(file, lambda: connection.execute("BEGIN EXCLUSIVE"))
    except file.driver.error as error:
        if file.driver.failure(error) is not Failure.BUSY:
            raise
        raise _open_elsewhere(file.path) from error
    # Whoever came in between has a log again. Who comes from now on waits.
    if connection.pragma("journal_mode") != "delete":
        raise _open_elsewhere(file.path)


def _open_elsewhere(path: str) -> StoreBusy:
    return StoreBusy(f"{path}: is open elsewhere: close it there, and try again")


def _make(path: str, *, like: str) -> None:
    """An empty file with the owner and the permissions of another one."""
    try:
        _remove(path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        original = Path(like).stat()
        if sys.platform != "win32":
            with suppress(PermissionError):  # only root gives files away
                os.chown(path, original.st_uid, original.st_gid)
        Path(path).chmod(stat.S_IMODE(original.st_mode))
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot be made: {error.strerror}") from error


def _remove(path: str) -> None:
    for name in (path, f"{path}-journal"):
        Path(name).unlink(missing_ok=True)


def _fill(source: File, target: File, version: int) -> None:
    """Copy the schema, the rows and the marks, in one transaction."""
    encrypts = target.driver.encrypts
    main, other = (target, source) if encrypts else (source, target)
    old, new = (_PLAIN, "main") if encrypts else ("main", _PLAIN)
    with closing(main.driver.connect(Opening(main.path, "write"), main.busy_timeout)) as connection:
        attach_plain(connection, other.path, _PLAIN)
        _ = connection.execute("BEGIN")
        _ = connection.execute("SELECT sqlcipher_export(?, ?)", (new, old)).fetchone()
        _ = connection.execute(f"PRAGMA {new}.application_id = {APPLICATION_ID}")
        _ = connection.execute(f"PRAGMA {new}.user_version = {version}")
        main.driver.check(connection)
        _ = connection.execute("COMMIT")


def _compare(holder: Connection, source: File, target: File) -> None:
    """Raise `StoreCorrupt` unless the copy is whole, and every table and every row in it that of the original."""
    check_whole(holder, source.path)
    with closing(connected(target)) as copy:
        check_whole(copy, target.path)
        if target.driver.encrypts and damaged_pages(copy):
            raise StoreCorrupt(f"{target.path}: the copy is damaged: look at the disk")
        if not _same(holder, copy):
            raise StoreCorrupt(
                f"{target.path}: the copy is not what the original is, and was thrown away: look at the disk"
            )
        target.driver.check(copy)
    source.driver.check(holder)


def _same(one: Connection, other: Connection) -> bool:
    """Whether two files have the same marks and tables, and every row in them is the same."""
    if marks(one) != marks(other) or not _same_rows(one, other, _SCHEMA):
        return False
    tables = [str(name) for (name,) in other.execute(_TABLES)]
    return all(_same_rows(one, other, f"SELECT * FROM {quoted(table)} ORDER BY 1") for table in tables)


def _same_rows(one: Connection, other: Connection, sql: str) -> bool:
    pairs = itertools.zip_longest(one.execute(sql), other.execute(sql))
    return all(repr(row) == repr(copied) for row, copied in pairs)  # by their text, because 1 equals 1.0


def _rename(path: str, target: str) -> None:
    try:
        Path(path).replace(target)
        if os.name != "nt":  # where a folder cannot be opened
            folder = os.open(Path(target).parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise StoreUnavailable(f"{target}: cannot be put in place: {error.strerror}") from error
