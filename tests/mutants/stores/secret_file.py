"""A sound store that is encrypted, and small enough to break: the JSON file, under a key."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

from tests.mutants.stores.json_file import JsonFileStore, JsonFileTransaction
from tidesync.contracts.store import StoreCapabilities
from tidesync.stores.memory import MemoryTransaction

_NONCE: Final = 16
_CODE: Final = 32


class SecretFileStore(JsonFileStore):
    """Each commit is encrypted under a nonce of its own, and carries a code that only the key can make.

    For tests alone: a stream of SHAKE-256, and HMAC.
    """

    capabilities = StoreCapabilities(durable=True, multiprocess=True, encrypted=True)

    def __init__(self, path: Path, *, key: bytes) -> None:
        super().__init__(path)
        self._key = key

    def encoded(self, content: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        hidden = nonce + self.mixed(nonce, content)
        return hidden + self.code(hidden)

    def decoded(self, content: bytes) -> bytes:
        hidden, code = content[:-_CODE], content[-_CODE:]
        if not hmac.compare_digest(code, self.code(hidden)):
            raise ValueError("another key, or another content")
        return self.mixed(hidden[:_NONCE], hidden[_NONCE:])

    def mixed(self, nonce: bytes, content: bytes) -> bytes:
        """The content with the stream of the key; twice is not at all."""
        stream = hashlib.shake_256(self._key + nonce).digest(len(content))
        return (int.from_bytes(content) ^ int.from_bytes(stream)).to_bytes(len(content))

    def code(self, hidden: bytes) -> bytes:
        """What shows that nothing was changed."""
        return hmac.digest(self._key, hidden, "sha256")

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return SecretFileTransaction(self, write)


class SecretFileTransaction(JsonFileTransaction):
    """What the file held when it began, and what was changed on top of it."""
