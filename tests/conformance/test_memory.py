"""The memory store keeps the contract."""

from collections.abc import Callable

import pytest

from tidesync.conformance import StoreConformance
from tidesync.stores import MemoryStore


class TestMemoryStore(StoreConformance):
    """No capability is declared."""

    @pytest.fixture
    def make_store(self) -> Callable[[], MemoryStore]:
        return MemoryStore
