"""The suite for transports: what an author subclasses."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from inspect import getattr_static
from typing import ClassVar

import pytest

from tidesync.conformance.profiles import profile_of
from tidesync.conformance.rules import Suite
from tidesync.conformance.transport.acknowledgements import Acknowledgements
from tidesync.conformance.transport.bench import TransportBench, Wire, offered_by
from tidesync.conformance.transport.conditions import Conditions
from tidesync.conformance.transport.cursors import Cursors
from tidesync.conformance.transport.departures import Departures
from tidesync.conformance.transport.expectations import Expectations
from tidesync.conformance.transport.failures import Failures
from tidesync.conformance.transport.identity import Identity
from tidesync.conformance.transport.machine import Machine
from tidesync.conformance.transport.outcomes import Outcomes
from tidesync.conformance.transport.pages import Pages
from tidesync.conformance.transport.positions import Positions
from tidesync.conformance.transport.values import Values
from tidesync.contracts.transport import Transport, TransportCapabilities


class TransportConformance(
    Outcomes,
    Expectations,
    Acknowledgements,
    Identity,
    Failures,
    Values,
    Cursors,
    Positions,
    Pages,
    Conditions,
    Departures,
    Machine,
    Suite,
):
    """The rules for transports, as tests: subclass it, declare `capabilities`, and define the fixture `clients`.

    `clients` gives two or more clients, not open yet, of one remote that is new and empty for each test and holds
    the tables `tidesync.conformance.TABLES`. `capabilities` are what `open` tells (its identity is not compared).
    The fixture `wire` may give what makes the first client's wire fail; without it those rules do not apply.
    """

    capabilities: ClassVar[TransportCapabilities] = TransportCapabilities(identity="")

    @classmethod
    def offered(cls) -> frozenset[str]:
        given = getattr_static(cls, "wire") is not getattr_static(TransportConformance, "wire")
        return offered_by(cls.capabilities, wire=given)

    @pytest.fixture
    def wire(self) -> Wire | None:
        """Makes the first client's wire fail."""
        return None

    @pytest.fixture
    def bench(
        self, clients: Sequence[Transport], wire: Wire | None, request: pytest.FixtureRequest
    ) -> Generator[TransportBench, None, None]:
        """What the rules work with."""
        with TransportBench(
            clients,
            profile=profile_of(request.config.getoption("conformance_profile", None)),
            capabilities=self.capabilities,
            domain=self.domain,
            wire=wire,
        ) as bench:
            yield bench
