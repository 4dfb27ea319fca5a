"""Local stores: memory, SQLite, SQLCipher. A driver is loaded when a store that needs it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tidesync.stores.encryption import decrypt_file, encrypt_file
    from tidesync.stores.memory import MemoryStore
    from tidesync.stores.sqlcipher import SQLCipherStore
    from tidesync.stores.sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLCipherStore", "SQLiteStore", "decrypt_file", "encrypt_file"]

_HOMES: Final = {
    "MemoryStore": "tidesync.stores.memory",
    "SQLCipherStore": "tidesync.stores.sqlcipher",
    "SQLiteStore": "tidesync.stores.sqlite",
    "decrypt_file": "tidesync.stores.encryption",
    "encrypt_file": "tidesync.stores.encryption",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
