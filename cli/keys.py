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
    # What is not text becomes lone surrogates, which no key may hold; an error of decoding would hold the key.
    if not _line(file).startswith(_RAW):
        return _line(file)
    try:
        return bytes.fromhex(_line(file).removeprefix(_RAW))
    except ValueError:
        raise ConfigurationError(
            f"{file}: after {_RAW} come the 64 hexadecimal digits of a raw key"
        ) from None


def _line(file: Path) -> str:
    return file.read_text("utf-8", errors="surrogateescape").removesuffix("\n").removesuffix("\r")
