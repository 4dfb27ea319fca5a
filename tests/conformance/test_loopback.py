"""The loopback transport keeps the contract, with the authority behind it."""

import pytest

from tests.conformance.wires import LoopbackWire
from tidesync.conformance import TABLES, TransportConformance
from tidesync.contracts.transport import CursorGuarantee, Transport, TransportCapabilities
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
    def authority(self) -> Authority:
        return Authority(MemoryStore(), TABLES)

    @pytest.fixture
    def wire(self, authority: Authority) -> LoopbackWire:
        return LoopbackWire(LoopbackTransport(authority))

    @pytest.fixture
    def clients(self, authority: Authority, wire: LoopbackWire) -> list[Transport]:
        return [wire, *(LoopbackTransport(authority) for _ in range(2))]
