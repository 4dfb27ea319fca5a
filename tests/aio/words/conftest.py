"""The fixtures of tests/api, with devices of the asyncio face."""

from collections.abc import Iterator

import pytest

from tests.aio.words.blocking import BlockingWorld, Loop
from tests.api.conftest import ctx, wire
from tests.api.support import MakeStore, Remote, World
from tests.api.test_bad_input import refuses
from tidesync.stores.memory import MemoryStore

__all__ = ["ctx", "refuses", "wire"]


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
def world(make_store: MakeStore, remote: Remote, loop: Loop) -> Iterator[World]:
    made = BlockingWorld(make_store, remote)
    made.loop = loop
    yield made
    made.close()
    assert [] == loop.complaints
