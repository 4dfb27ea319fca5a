"""What the in-process transport says of its authority; that it is a transport like any other is shown by the suite."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from tidesync.contracts.store import StoreCapabilities, StoreTransaction
from tidesync.contracts.transport import (
    Absent,
    Change,
    PullRequest,
    Unknown,
)
from tidesync.errors import RemoteUnavailable, RequestRefused, StoreFull
from tidesync.query import Query
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport
from tidesync.values import ColumnType

TABLE = TableSchema("item", (Column("size", ColumnType.INTEGER),), {})


def insert(id: str, **content: int | list[int]) -> Change:
    return Change(
        id=f"op-{id}",
        table="item",
        record_id=id,
        kind="insert",
        record={"id": id, **content},
        expected=Absent(),
    )


def test_what_the_authority_does_not_hold_is_refused() -> None:
    """Opening with other tables is no error; asking for them is."""
    transport = LoopbackTransport(Authority(MemoryStore(), [TABLE]))
    assert frozenset(("item",)) == transport.open([TABLE, TableSchema("other")]).tombstones
    with pytest.raises(RequestRefused, match="other"):
        _ = transport.pull(PullRequest(query=Query("other")))


class Failing:
    """A store that is full from the moment it is told so."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.full = False

    @property
    def capabilities(self) -> StoreCapabilities:
        return self.store.capabilities

    def open(self, tables: Sequence[TableSchema]) -> None:
        self.store.open(tables)

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        return self._transaction(write)

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[StoreTransaction]:
        with self.store.transaction(write=write) as transaction:
            yield transaction
            if self.full:
                raise StoreFull("the disk is full: make room")

    def close(self) -> None:
        self.store.close()


def test_a_failing_store_is_a_remote_that_is_not_available() -> None:
    """A push is in doubt and nothing raises; reads say that the remote is unavailable, and why."""
    store = Failing()
    transport = LoopbackTransport(Authority(store, [TABLE]))
    _ = transport.open([TABLE])
    store.full = True
    reason = "the remote's store failed: the disk is full: make room"
    assert [Unknown(reason), Unknown(reason)] == transport.push([insert("a"), insert("b")])
    for ask in (
        lambda: transport.open([TABLE]),
        lambda: transport.get("item", "a"),
        lambda: transport.pull(PullRequest(query=Query("item"))),
    ):
        with pytest.raises(RemoteUnavailable, match="full") as caught:
            _ = ask()
        assert isinstance(caught.value.__cause__, StoreFull)
    store.full = False
    assert None is transport.get("item", "a")
    assert ["Applied"] == [type(outcome).__name__ for outcome in transport.push([insert("a")])]
