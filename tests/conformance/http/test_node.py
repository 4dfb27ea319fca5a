"""The HTTP transport against the real Azure Mobile Apps server for Node.js."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.http.domains import NODE
from tests.conformance.http.wire import FailingWire
from tidesync.conformance import TABLES, TransportConformance
from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities
from tidesync.transports.http import HttpTransport

NAMES = frozenset(table.name for table in TABLES)


@pytest.mark.peer
class TestNode(TransportConformance):
    """Azure Mobile Apps 2.0, as its own server speaks it."""

    domain = NODE
    capabilities = TransportCapabilities(
        identity="", cursor=CursorGuarantee.KEYSET, max_changes=4, total=True, filters=True, tombstones=NAMES,
        overlap=2.0, exchange_timeout=120.0,
    )  # fmt: skip

    @pytest.fixture
    def wire(self) -> FailingWire:
        return FailingWire()

    @pytest.fixture
    def clients(self, node_url: str, wire: FailingWire) -> Iterator[list[HttpTransport]]:
        with httpx.Client(transport=wire) as failing:
            yield [
                HttpTransport(node_url, protocol="2.0", retries=0, overlap=2.0, client=each)
                for each in (failing, None, None)
            ]
