"""All that this store's tests need: tidesync's conformance suite."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tidesync_sqlite3 import Sqlite3Store

from tidesync.conformance import StoreConformance


class TestSqlite3Store(StoreConformance):
    """Every rule of the store contract, and of what the store declares."""

    capabilities = Sqlite3Store.capabilities

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], Sqlite3Store]:
        """Stores on one file, new and empty for each rule."""
        return lambda: Sqlite3Store(tmp_path / "records.db")
