"""The HTTP transport against the real Azure Mobile Apps server for Node.js."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

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
    known_deviations: ClassVar[Mapping[str, str]] = {
        "TRANSPORT-64": "SQLite's numbers have no -0.0: the server takes it, and keeps 0.0",
        "TRANSPORT-65": "moments are kept to the millisecond: the server takes microseconds, and drops them",
        "TRANSPORT-67": "JavaScript writes 1.0 as 1, and a column of SQLite has the type of its first value",
        "TRANSPORT-68": "names that differ in case alone are one column of SQLite",
    }
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
