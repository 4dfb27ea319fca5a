"""The HTTP transport for an event loop against tidesync's service: on its own protocol, and in a soak on each."""

import os

import httpx
import pytest

from tests.conformance.http.declared import NATIVE, REST
from tests.conformance.http.domains import REST2, REST3
from tests.conformance.http.wire import AsyncFailingWire, FailingWire
from tidesync.conformance import Bridged, TransportConformance
from tidesync.transports.http import AsyncHttpTransport
from tidesync.transports.http.transport import Protocol

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


class _OverHttp(TransportConformance):
    protocol: Protocol

    @pytest.fixture
    def wire(self) -> FailingWire:
        return FailingWire()

    @pytest.fixture
    def clients(self, service_url: str, wire: FailingWire) -> list[Bridged]:
        failing = httpx.AsyncClient(transport=AsyncFailingWire(wire))
        return [
            Bridged(
                AsyncHttpTransport(service_url, protocol=self.protocol, retries=0, overlap=2.0, client=each)
            )
            for each in (failing, None, None)
        ]


class TestNative(_OverHttp):
    """tidesync's own protocol."""

    protocol = "tidesync"
    capabilities = NATIVE


if SOAK:

    class TestService2(_OverHttp):
        """Azure Mobile Apps 2.0."""

        protocol = "2.0"
        domain = REST2
        capabilities = REST

    class TestService3(_OverHttp):
        """Datasync 3.0."""

        protocol = "3.0"
        domain = REST3
        capabilities = REST


del _OverHttp
