"""The SQLCipher store: one encrypted file, written by any number of threads and processes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tidesync.errors import StoreBusy, StoreClosed, StoreCorrupt, StoreError, StoreReadOnly, WrongKey
from tidesync.schema import TableSchema
from tidesync.stores.file_store import FileStore, Mode, Synchronous
from tidesync.stores.keys import Key, KeySource
from tidesync.stores.sql.driver import Connection, Failure, Opening, marks
from tidesync.stores.sql.rows import Codec
from tidesync.stores.sqlcipher_driver import CipherDriver, damaged_pages, rekey
from tidesync.stores.sqlite_file import connect, patiently, translated

__all__ = ["SQLCipherStore"]

_SOON: Final = 0.25
"""Seconds that `rekey` waits for readers, to have the old pages out of the file."""


class SQLCipherStore(FileStore):
    """Records in one file that SQLCipher encrypts: without the key it tells its size, and nothing else.

    `key` is a passphrase (str), a raw key of 32 bytes (bytes), or a function that returns either and is asked at each
    `open`. From a passphrase a key is derived in a tenth of a second, once. Another key than the file's is `WrongKey`.

    `wipe_memory` clears and locks all memory that SQLite gives back, in the whole process, at two to three times the
    cost; keys always are. The other options are those of `SQLiteStore`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: KeySource,
        synchronous: Synchronous = "full",
        busy_timeout: float = 30.0,
        read_timeout: float | None = None,
        mode: Mode = "rwc",
        wipe_memory: bool = False,
    ) -> None:
        key = Key.of(key)
        key.check()
        self._driver: Final = CipherDriver(key, wipe_memory=wipe_memory)
        super().__init__(
            self._driver,
            path,
            synchronous=synchronous,
            busy_timeout=busy_timeout,
            read_timeout=read_timeout,
            mode=mode,
        )

    def open(self, tables: Sequence[TableSchema]) -> None:
        if not self.is_open:
            self._driver.unlock()
        try:
            super().open(tables)
        finally:
            if not self.is_open:
                self._driver.lock()

    def close(self) -> None:
        super().close()
        self._driver.lock()

    def begin(self, *, write: bool) -> tuple[Connection, dict[str, Codec]]:
        try:
            return super().begin(write=write)
        except WrongKey:
            # `rekey` may have changed the file, and not yet told the driver; it has the turn until then.
            if write or not self._turns().take(self.file.busy_timeout):
                raise
        try:
            return super().begin(write=False)
        finally:
            self.give_turn_back()

    def rekey(self, new_key: KeySource) -> None:
        """Write the whole file anew under another key, in one transaction; needs room for a second copy beside it.

        It may be killed at any moment: the file then opens with exactly one of the two keys. Reading transactions go
        on with what they see; other stores on the file get `WrongKey` from their next one. A key that comes from a
        function is asked from it again at the next `open`. Raises `ConfigurationError` for what is no key;
        `StoreBusy`, `StoreCorrupt`, `StoreFull` and the like leave the old key.
        """
        new_key = Key.of(new_key)
        new_key.check()
        new_key = new_key.asked()
        self.check_fork()
        if not self.is_open:
            raise StoreClosed(f"{self.file.path}: the store is not open: call open() first")
        if self.file.mode == "ro":
            raise StoreReadOnly(
                f'{self.file.path}: this store only reads: open it with mode="rw" to rekey it'
            )
        me = self.enter_thread()
        try:
            self.take_turn()
            try:
                self._rekey(new_key)
            finally:
                self.give_turn_back()
        finally:
            self.leave_thread(me)

    def _rekey(self, new: Key) -> None:
        failure: StoreError | None = None
        try:
            self._write_anew(new)
        except StoreError as error:
            failure = error
        # Whether the key was changed is what the file says, whatever was reported.
        if not self._opens_with(new):
            raise failure or StoreBusy(f"{self.file.path}: another process wrote at the same time: try again")
        self._driver.use(new)
        self.close_idle()
        self._move_log()

    def _write_anew(self, new: Key) -> None:
        with translated(self.file):
            connection = connect(self.file)
            try:
                _ = connection.pragma("synchronous", "full")
                _ = patiently(self.file, lambda: _try_to_write(connection))
                rekey(connection, new)
            finally:
                connection.close(True)

    def _opens_with(self, key: Key) -> bool:
        driver = CipherDriver(key)
        driver.unlock()
        with translated(self.file):
            connection = driver.connect(Opening(self.file.path, "write"), self.file.busy_timeout)
            try:
                _ = patiently(self.file, lambda: marks(connection))
            except driver.error as error:
                if driver.failure(error) is not Failure.NOT_A_DATABASE:
                    raise
                return False
            finally:
                connection.close(True)
        return True

    def _move_log(self) -> None:
        """Leave no page under the old key in the file, unless someone still reads it."""
        with suppress(self._driver.error, StoreError):
            connection = self._driver.connect(Opening(self.file.path, "write"), _SOON)
            try:
                _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close(True)

    def verify(self) -> None:
        """See that no byte of the file was changed, that its pages fit together, and that every row is a record.

        Takes as long as reading all of it; writers wait meanwhile. Raises `StoreCorrupt`; `StoreBusy` if a reader did
        not end within `busy_timeout`. A store of mode "ro" cannot look at pages that hold nothing.
        """
        super().verify()
        if self.file.mode != "ro":
            self._verify_pages()

    def _verify_pages(self) -> None:
        end = time.monotonic() + self.file.busy_timeout
        while (told := self._damaged_pages()) is None:
            if time.monotonic() >= end:
                raise StoreBusy(f"{self.file.path}: a reader keeps the log from the file: try again")
            time.sleep(0.01)
        if told:
            raise StoreCorrupt(
                f"{self.file.path}: the file is damaged: {'; '.join(told[:5])}: restore a copy"
            )

    def _damaged_pages(self) -> list[str] | None:
        """What SQLCipher says of the pages in the file itself; None while some are in the log."""
        with self.transaction(write=True):
            # Nobody writes now; once the log is in the file, nobody changes that either.
            connection = self.borrow()
            try:
                with translated(self.file):
                    _, log, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    if log != moved:
                        return None
                    return damaged_pages(connection)
            finally:
                self.give_back(connection)


def _try_to_write(connection: Connection) -> None:
    _ = connection.execute("BEGIN IMMEDIATE")
    _ = connection.execute("ROLLBACK")
