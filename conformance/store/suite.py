"""The suite for stores: what an author subclasses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import ClassVar

import pytest

from tidesync.conformance.profiles import profile_of
from tidesync.conformance.rules import Suite
from tidesync.conformance.store.bench import StoreBench, offered_by
from tidesync.conformance.store.calls import Calls
from tidesync.conformance.store.closing import Closing
from tidesync.conformance.store.computing import Computing
from tidesync.conformance.store.conditions import Conditions
from tidesync.conformance.store.costs import Costs
from tidesync.conformance.store.durability import Durability
from tidesync.conformance.store.encryption import Encryption
from tidesync.conformance.store.iterators import Iterators
from tidesync.conformance.store.machine import Machine
from tidesync.conformance.store.meaning import Meaning
from tidesync.conformance.store.processes import Processes
from tidesync.conformance.store.queries import Queries
from tidesync.conformance.store.refusals import Refusals
from tidesync.conformance.store.releases import Releases
from tidesync.conformance.store.schemas import Schemas
from tidesync.conformance.store.transactions import Transactions
from tidesync.conformance.store.turns import Turns
from tidesync.conformance.store.values import Values
from tidesync.contracts.store import Store, StoreCapabilities


class StoreConformance(
    Calls,
    Transactions,
    Iterators,
    Turns,
    Closing,
    Schemas,
    Releases,
    Costs,
    Values,
    Refusals,
    Conditions,
    Computing,
    Queries,
    Meaning,
    Durability,
    Processes,
    Encryption,
    Machine,
    Suite,
):
    """The rules for stores, as tests: subclass it, declare `capabilities`, and define the fixture `make_store`.

    `make_store` returns a function without arguments. Each call makes a store, not open yet, on the same place: a
    new and empty one for each test. A store that is declared `encrypted` also has the fixture `make_locked_store`:
    the same with another key.

    A store that is declared `indexed` may have the fixture `count_steps`: a function that tells how many steps the
    stores of the test took so far. A step is whatever grows with what is read: rows or pages visited, instructions
    of a database. Without it, seconds are measured, and the bounds are wide.
    """

    capabilities: ClassVar[StoreCapabilities] = StoreCapabilities()

    @classmethod
    def offered(cls) -> frozenset[str]:
        return offered_by(cls.capabilities)

    @pytest.fixture
    def make_locked_store(self) -> Callable[[], Store] | None:
        """Makes a store on the same place with another key; None where nothing is encrypted."""
        return None

    @pytest.fixture
    def count_steps(self) -> Callable[[], int] | None:
        """Tells how many steps were taken so far; None where nobody counts."""
        return None

    @pytest.fixture
    def bench(
        self,
        make_store: Callable[[], Store],
        make_locked_store: Callable[[], Store] | None,
        count_steps: Callable[[], int] | None,
        tmp_path: Path,
        request: pytest.FixtureRequest,
    ) -> Generator[StoreBench, None, None]:
        """What the rules work with."""
        with StoreBench(
            make_store,
            folder=tmp_path,
            profile=profile_of(request.config.getoption("conformance_profile", None)),
            capabilities=self.capabilities,
            domain=self.domain,
            make_locked=make_locked_store,
            count_steps=count_steps,
        ) as bench:
            yield bench
