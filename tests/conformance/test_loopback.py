"""The loopback transport keeps the contract, with the authority behind it."""

import pytest

from tidesync.conformance import TABLES, TransportConformance
from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities
from tidesync.stores import MemoryStore
from tidesync.transports import Authority, LoopbackTransport

NAMES = frozenset(table.name for table in TABLES)


class TestLoopback(TransportConformance):
    """Everything is declared but a limit in bytes."""

    capabilities = TransportCapabilities(
        identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=1000, ordered=True, total=True, filters=True,
        tombstones=NAMES, departures=NAMES, remembers=None,
    )  # fmt: skip

    @pytest.fixture
    def clients(self) -> list[LoopbackTransport]:
        authority = Authority(MemoryStore(), TABLES)
        return [LoopbackTransport(authority) for _ in range(3)]
