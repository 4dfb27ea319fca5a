"""The SQLite store: one file, written by any number of threads and processes."""

from __future__ import annotations

import os

from tidesync.stores.apsw_driver import ApswDriver
from tidesync.stores.file_store import FileStore, Mode, Synchronous

__all__ = ["Mode", "SQLiteStore", "Synchronous"]


class SQLiteStore(FileStore):
    """Records in one SQLite file, safe for several threads and processes.

    `synchronous` "full" makes an acknowledged write survive power loss; with "normal" the last ones may
    be lost then, and the file is never harmed. `busy_timeout` is how many seconds a writer waits for others,
    until `StoreBusy`; `read_timeout` how many a reading transaction may take (None: any time), until `StoreTimeout`.

    `mode` "rwc" makes the file, and its tables as they are declared. The other two are for whoever looks at the store
    of an application: they make and change no table, and every table that the file holds is there, whatever is
    declared. "rw" also writes records; "ro" writes nothing at all, and needs no right to. Without a file they are
    `StoreUnavailable`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        busy_timeout: float = 30.0,
        read_timeout: float | None = None,
        mode: Mode = "rwc",
    ) -> None:
        super().__init__(
            ApswDriver(),
            path,
            synchronous=synchronous,
            busy_timeout=busy_timeout,
            read_timeout=read_timeout,
            mode=mode,
        )
