"""The fixtures of tests/api, with devices of the asyncio face."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.aio.words.blocking import BlockingWorld, Loop
from tests.api.support import TABLES, MakeStore, Remote, Wire, World
from tests.api.test_bad_input import refuses
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority

__all__ = ["refuses"]


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def make_store() -> MakeStore:
    kept: dict[str, MemoryStore] = {}
    return lambda name: kept.setdefault(name, MemoryStore())


@pytest.fixture
def remote() -> Remote:
    return Remote(Authority(MemoryStore(), [each.schema for each in TABLES], identity="remote").open())


@pytest.fixture
def world(make_store: MakeStore, remote: Remote, loop: Loop) -> Iterator[World]:
    made = BlockingWorld(make_store, remote)
    made.loop = loop
    yield made
    made.close()
    assert [] == loop.complaints


@pytest.fixture
def wire(world: World) -> Wire:
    return world.wire()


@pytest.fixture
def ctx(world: World, wire: Wire) -> Any:
    return world.device("one", wire)
