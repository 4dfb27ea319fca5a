"""One remote, and no autosync that outlives its test."""

from collections.abc import Iterator

import pytest

from tests.api.support import TABLES, Remote
from tests.autosync.support import threads
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority


def remote_of_its_own() -> Remote:
    return Remote(Authority(MemoryStore(), [each.schema for each in TABLES], identity="remote").open())


@pytest.fixture
def remote() -> Remote:
    return remote_of_its_own()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert [] == threads()
