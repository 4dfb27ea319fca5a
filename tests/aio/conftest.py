"""The world of tests/api, for contexts on an event loop."""

import pytest

from tests.aio.support import AsyncWire, AsyncWorld
from tests.api.conftest import make_store, remote
from tests.api.support import MakeStore, Remote

__all__ = ["make_store", "remote"]


@pytest.fixture
def world(make_store: MakeStore, remote: Remote) -> AsyncWorld:
    return AsyncWorld(make_store, remote)


@pytest.fixture
def wire(world: AsyncWorld) -> AsyncWire:
    return world.wire()
