"""The in-process transport: a transport like any other, only that nothing is in between."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from tidesync.contracts.store import StoreCapabilities, StoreTransaction
from tidesync.contracts.transport import (
    Absent,
    Applied,
    Change,
    CursorGuarantee,
    PullRequest,
    Transport,
    TransportCapabilities,
    Unknown,
)
from tidesync.errors import RemoteUnavailable, RequestRefused, StoreFull
from tidesync.query import Query
from tidesync.records import alive
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


def test_it_keeps_the_transport_contract() -> None:
    """It opens its authority, declares what that offers, and carries push, pull and get."""
    transport: Transport = LoopbackTransport(Authority(MemoryStore(), [TABLE], identity="here"))
    everything = frozenset(("item",))
    assert transport.open([TABLE]) == TransportCapabilities(
        identity="here",
        cursor=CursorGuarantee.COMMIT_ORDERED,
        max_changes=1000,
        ordered=True,
        total=True,
        filters=True,
        tombstones=everything,
        departures=everything,
        remembers=None,
    )
    [outcome] = transport.push([insert("a", size=1)])
    assert isinstance(outcome, Applied)
    assert [outcome.copy] == transport.pull(PullRequest(query=Query("item"))).records
    assert outcome.copy == transport.get("item", "a")
    assert None is transport.get("item", "b")


def test_closing_leaves_the_authority_to_others() -> None:
    """Two faces of one authority do not disturb each other; a closed one may be opened again."""
    authority = Authority(MemoryStore(), [TABLE])
    one, other = LoopbackTransport(authority), LoopbackTransport(authority)
    assert one.open([TABLE]) == other.open([TABLE])
    _ = one.push([insert("a")])
    one.close()
    one.close()
    assert alive(other.get("item", "a"))
    assert one.open([TABLE]) == other.open([TABLE])
    assert other.get("item", "a") == one.get("item", "a")


def test_what_the_authority_does_not_hold_is_refused() -> None:
    """Opening with other tables is no error; asking for them is."""
    transport = LoopbackTransport(Authority(MemoryStore(), [TABLE]))
    assert frozenset(("item",)) == transport.open([TABLE, TableSchema("other")]).tombstones
    with pytest.raises(RequestRefused, match="other"):
        _ = transport.pull(PullRequest(query=Query("other")))


def test_neither_side_sees_later_changes_of_the_other() -> None:
    """What was sent, and what was received, may be changed by its owner without effect on the remote."""
    transport = LoopbackTransport(Authority(MemoryStore(), [TABLE]))
    _ = transport.open([TABLE])
    tags = [1]
    [outcome] = transport.push([insert("a", tags=tags)])
    assert isinstance(outcome, Applied)
    page = transport.pull(PullRequest(query=Query("item")))
    tags.append(2)
    for copy in (outcome.copy, transport.get("item", "a"), page.records[0]):
        assert alive(copy)
        assert isinstance(copy["tags"], list)
        copy["tags"].append(3)
    held = transport.get("item", "a")
    assert alive(held)
    assert [1] == held["tags"]


def test_it_serves_several_threads() -> None:
    """Pushes and pulls from several threads lose nothing, and a follower meets every record."""
    authority = Authority(MemoryStore(), [TABLE])
    seen: list[str] = []
    failures: list[BaseException] = []
    writing = threading.Event()

    def write(name: str) -> None:
        transport = LoopbackTransport(authority)
        for n in range(50):
            _ = transport.push([insert(f"{name}{n:02}", size=n)])

    def follow() -> None:
        transport, cursor = LoopbackTransport(authority), None
        while True:
            last = writing.is_set()
            page = transport.pull(PullRequest(query=Query("item"), cursor=cursor, limit=7))
            seen.extend(str(record["id"]) for record in page.records)
            cursor = page.cursor
            if last and not page.more:
                return

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    _ = LoopbackTransport(authority).open([TABLE])
    writers = [threading.Thread(target=guarded, args=(lambda name=name: write(name),)) for name in "abc"]
    follower = threading.Thread(target=guarded, args=(follow,))
    for thread in (*writers, follower):
        thread.start()
    for thread in writers:
        thread.join()
    writing.set()
    follower.join()
    assert [] == failures
    assert sorted(f"{name}{n:02}" for name in "abc" for n in range(50)) == sorted(seen)


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
