"""The stores that an authority is tested on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.transports.authority.support import MakeAuthority, Time, authority_on
from tidesync.contracts.store import Store
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "remote.db", synchronous="normal"),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def make(store: Store, time: Time) -> MakeAuthority:
    """Open an authority on the store, with any options; again on the same store if called again."""
    return lambda **options: authority_on(store, time, **options)


@pytest.fixture
def authority(make: MakeAuthority) -> Authority:
    return make()
