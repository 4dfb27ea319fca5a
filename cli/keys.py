"""`--key-file FILE`: the key of an encrypted store, which no command line should hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tidesync.errors import ConfigurationError
from tidesync.stores.file_store import FileStore

_RAW: Final = "hex:"


def file_store(file: Path, key_file: Path | None, **options: Any) -> FileStore:
    """The store in a file: SQLite's, or, with a file that holds its key, SQLCipher's."""
    if key_file is None:
        from tidesync.stores.sqlite import SQLiteStore

        return SQLiteStore(file, **options)
    from tidesync.stores.sqlcipher import SQLCipherStore

    return SQLCipherStore(file, key=lambda: _key_in(key_file), **options)


def _key_in(file: Path) -> str | bytes:
    # Read once, because it may be a pipe. What is not text becomes lone surrogates, which no key may hold; an error
    # of decoding would hold the key.
    key = _told(file.read_text("utf-8-sig", errors="surrogateescape").removesuffix("\n").removesuffix("\r"))
    if key is None:
        raise ConfigurationError(f"{file}: after {_RAW} come the 64 hexadecimal digits of a raw key")
    return key


def _told(line: str) -> str | bytes | None:
    """The key that a line tells; None if it is none. No error leaves this function: its frame holds the key."""
    if not line.startswith(_RAW):
        return line
    try:
        return bytes.fromhex(line.removeprefix(_RAW))
    except ValueError:
        return None
