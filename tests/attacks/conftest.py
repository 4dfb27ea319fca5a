"""A device with something to send, and a transport to spoil it."""

import pytest

from tests.attacks.support import BOOKS, SHELVES, Book, Hostile, Shelf, device
from tidesync import SyncContext
from tidesync.stores.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def hostile() -> Hostile:
    return Hostile()


@pytest.fixture
def ctx(hostile: Hostile, store: MemoryStore) -> SyncContext:
    """A device with a shelf and a book on it, neither of them sent."""
    ctx = device(hostile, store)
    ctx[SHELVES].insert(Shelf("s", "one"))
    ctx[BOOKS].insert(Book("b", "old", 1, "s"))
    return ctx
