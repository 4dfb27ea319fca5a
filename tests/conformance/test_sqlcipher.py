"""The SQLCipher store keeps the contract, and what an encrypted one promises."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidesync.conformance import StoreConformance
from tidesync.contracts.store import StoreCapabilities
from tidesync.stores import SQLCipherStore
from tidesync.stores.sql.driver import Connection, Opening
from tidesync.stores.sqlcipher_driver import CipherDriver

TEN = 10


class TestSQLCipher(StoreConformance):
    """With a raw key: a passphrase costs a tenth of a second for each store."""

    capabilities = StoreCapabilities(durable=True, multiprocess=True, encrypted=True, indexed=True)

    @pytest.fixture
    def count_steps(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
        """Counts the instructions of SQLite's machine, ten by ten, on every connection: seconds tell of other work."""
        taken, connect = 0, CipherDriver.connect

        def done() -> bool:
            nonlocal taken
            taken += TEN
            return False

        def watched(driver: CipherDriver, opening: Opening, busy_timeout: float) -> Connection:
            connection = connect(driver, opening, busy_timeout)
            connection.set_progress_handler(done, TEN)
            return connection

        monkeypatch.setattr(CipherDriver, "connect", watched)
        return lambda: taken

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], SQLCipherStore]:
        return lambda: SQLCipherStore(tmp_path / "x.db", key=bytes(32))

    @pytest.fixture
    def make_locked_store(self, tmp_path: Path) -> Callable[[], SQLCipherStore]:
        return lambda: SQLCipherStore(tmp_path / "x.db", key=bytes(range(32)))
