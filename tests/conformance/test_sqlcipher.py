"""The SQLCipher store keeps the contract, and what an encrypted one promises."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidesync.conformance import StoreConformance
from tidesync.contracts.store import StoreCapabilities
from tidesync.stores import SQLCipherStore


class TestSQLCipher(StoreConformance):
    """With a raw key: a passphrase costs a tenth of a second for each store."""

    capabilities = StoreCapabilities(durable=True, multiprocess=True, encrypted=True, indexed=True)

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], SQLCipherStore]:
        return lambda: SQLCipherStore(tmp_path / "x.db", key=bytes(32))

    @pytest.fixture
    def make_locked_store(self, tmp_path: Path) -> Callable[[], SQLCipherStore]:
        return lambda: SQLCipherStore(tmp_path / "x.db", key=bytes(range(32)))
