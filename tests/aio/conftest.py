"""A world with one remote, for contexts on an event loop."""

from pathlib import Path

import pytest

from tests.aio.support import AsyncWire, AsyncWorld
from tests.api.support import TABLES, MakeStore, Remote
from tidesync.contracts.store import Store
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    kept: dict[str, MemoryStore] = {}

    def make(name: str) -> Store:
        if request.param == "sqlite":
            return SQLiteStore(tmp_path / f"{name}.db", synchronous="normal")
        return kept.setdefault(name, MemoryStore())

    return make


@pytest.fixture
def remote() -> Remote:
    return Remote(Authority(MemoryStore(), [each.schema for each in TABLES], identity="remote").open())


@pytest.fixture
def world(make_store: MakeStore, remote: Remote) -> AsyncWorld:
    return AsyncWorld(make_store, remote)


@pytest.fixture
def wire(world: AsyncWorld) -> AsyncWire:
    return world.wire()
