"""The HTTP transport against tidesync's service, on each protocol."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.http.declared import NATIVE, REST
from tests.conformance.http.domains import REST2, REST3
from tests.conformance.http.wire import FailingWire
from tidesync.conformance import TransportConformance
from tidesync.transports.http import HttpTransport
from tidesync.transports.http.transport import Protocol


class _OverHttp(TransportConformance):
    protocol: Protocol

    @pytest.fixture
    def wire(self) -> FailingWire:
        return FailingWire()

    @pytest.fixture
    def clients(self, service_url: str, wire: FailingWire) -> Iterator[list[HttpTransport]]:
        with httpx.Client(transport=wire) as failing:
            yield [
                HttpTransport(service_url, protocol=self.protocol, retries=0, overlap=2.0, client=each)
                for each in (failing, None, None)
            ]


class TestNative(_OverHttp):
    """tidesync's own protocol."""

    protocol = "tidesync"
    capabilities = NATIVE


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
