"""Broken stores: what somebody without the key can read or change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.mutants.stores.bases import broken
from tests.mutants.stores.secret_file import SecretFileStore, SecretFileTransaction
from tidesync.errors import InvalidRecord
from tidesync.stores import SQLCipherStore


@broken("test_another_key_is_refused")
class KeyIsIgnored(SQLCipherStore):
    """The key never reaches the database, which has one of its own."""

    def __init__(self, path: Path, *, key: bytes) -> None:
        super().__init__(path, key=b"k" * 32)


@broken("test_another_key_is_refused")
class AnotherKeyBeginsAnew(SecretFileStore):
    """A file that the key does not open is taken for a new one."""

    def read(self) -> Any:
        try:
            return super().read()
        except Exception:
            return {}


@broken("test_nothing_can_be_read_in_files")
class IdsAreInTheClear(SecretFileStore):
    """Records are encrypted, but an index of their ids lies beside them."""

    def save(self, tables: Any) -> None:
        super().save(tables)
        _ = Path(f"{self.path}.index").write_text(
            json.dumps({name: list(rows) for name, rows in tables.items()})
        )


@broken("test_nothing_can_be_read_in_files")
class EncodedIsNotEncrypted(SecretFileStore):
    """What is written is scrambled in a way that needs no key: as hexadecimal digits."""

    def mixed(self, nonce: bytes, content: bytes) -> bytes:
        try:
            return bytes.fromhex(content.decode())
        except ValueError:
            return content.hex().encode()


@broken("test_nothing_can_be_read_while_a_process_works")
class JournalIsInTheClear(SecretFileTransaction):
    """What is not committed is noted in a journal, which nobody encrypts."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, records)
        _ = Path(f"{self._store.path}.journal").write_text(json.dumps(records))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        Path(f"{self._store.path}.journal").unlink(missing_ok=True)


@broken("test_nothing_can_be_read_while_a_process_works")
class TemporaryFilesAreInTheClear(SQLCipherStore):
    """A sort that does not fit into memory goes to a temporary file, which SQLCipher does not encrypt."""

    def __init__(self, path: Path, *, key: bytes) -> None:
        super().__init__(path, key=key)
        connect = self._driver.connect

        def connected(*arguments: Any) -> Any:
            connection = connect(*arguments)
            for name, value in (("temp_store", "FILE"), ("cache_size", 10)):
                _ = connection.pragma(name, value)
            return connection

        self._driver.connect = connected  # type: ignore[method-assign]


@broken("test_a_flipped_byte_is_no_other_record")
class NothingIsSigned(SecretFileStore):
    """What is decrypted is not checked: a changed byte is another character."""

    def decoded(self, content: bytes) -> bytes:
        return self.mixed(content[:16], content[16:-32])


@broken("test_a_store_keeps_its_secrets_to_itself")
class ReprShowsTheKey(SQLCipherStore):
    """The repr of a store has all that it was made with."""

    def __init__(self, path: Path, *, key: bytes) -> None:
        self.given = key
        super().__init__(path, key=key)

    def __repr__(self) -> str:
        return f"SQLCipherStore({self.file.path!r}, key={self.given!r})"


@broken("test_a_store_keeps_its_secrets_to_itself")
class ErrorsQuoteTheRecord(SecretFileTransaction):
    """The error of a record that cannot be put says what is in it."""

    def put(self, table: str, records: Any) -> None:
        try:
            super().put(table, records)
        except InvalidRecord as error:
            raise InvalidRecord(table, error.field, "value", f"look at {records!r}") from error
