"""Tables, a transport that says and does what it should not, and a look at everything that a device keeps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from tidesync import SyncContext, table
from tidesync.conformance.simulation.invariants import broken
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.objects import Table
from tidesync.query import Query
from tidesync.records import Copy
from tidesync.rows import SYSTEM_TABLES
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


@attrs.define
class Shelf:
    id: str
    name: str = ""


@attrs.define
class Book:
    id: str
    title: str = ""
    pages: int = 0
    shelf_id: str | None = None


SHELVES = table(Shelf, name="shelf", references={})
BOOKS = table(Book, name="book", references={"shelf_id": SHELVES})
CARDS = table("card", {"text": str})
"""Dicts, and nothing said about references."""
TABLES: tuple[Table[Any], ...] = (SHELVES, BOOKS, CARDS)


def snapshot(store: Store, tables: Sequence[Table[Any]] = TABLES) -> dict[str, dict[str, Any]]:
    """Every row of every table, by id; the lease apart, which every push renews."""
    names = [schema.name for schema in SYSTEM_TABLES] + [each.name for each in tables]
    with store.transaction(write=False) as transaction:
        found = {name: {str(row["id"]): row for row in transaction.select(Query(name))} for name in names}
    _ = found["__meta"].pop("lease", None)
    return found


def faults(store: Store, tables: Sequence[Table[Any]] = TABLES) -> list[str]:
    """What of the engine's own tables, and of the records, does not agree."""
    schemas: Mapping[str, TableSchema] = {each.name: each.schema for each in tables}
    return list(broken(snapshot(store, tables).__getitem__, schemas))


class Hostile:
    """Loopback, until told otherwise: what is set for a call answers it, or is raised."""

    def __init__(self, authority: Authority | None = None) -> None:
        self.authority = authority or remote()
        self.inner = LoopbackTransport(self.authority)
        self.on_open: Callable[[TransportCapabilities], Any] | None = None
        self.on_push: Callable[[Sequence[Change]], Any] | None = None
        self.on_pull: Callable[[PullRequest], Any] | None = None
        self.on_get: Callable[[str, str], Any] | None = None
        self.calls = 0

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        found = self.inner.open(tables)
        return found if self.on_open is None else self.on_open(found)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        self._count()
        return self.inner.push(changes) if self.on_push is None else self.on_push(changes)

    def pull(self, request: PullRequest, /) -> Page:
        self._count()
        return self.inner.pull(request) if self.on_pull is None else self.on_pull(request)

    def get(self, table: str, id: str, /) -> Copy:
        return self.inner.get(table, id) if self.on_get is None else self.on_get(table, id)

    def close(self) -> None:
        self.inner.close()

    def _count(self) -> None:
        self.calls += 1
        assert self.calls < 200, "this does not end"


def remote() -> Authority:
    return Authority(MemoryStore(), [each.schema for each in TABLES], identity="remote").open()


def device(transport: Any, store: Store | None = None, **options: Any) -> SyncContext:
    return SyncContext(MemoryStore() if store is None else store, transport, TABLES, **options).open()


def recovers(ctx: SyncContext, hostile: Hostile, store: MemoryStore) -> bool:
    """Everything agrees, can be read, and goes through once the transport behaves."""
    assert [] == faults(store)
    assert 1 == len(ctx[BOOKS].where(id="b").all()) == len(ctx[SHELVES].where(id="s").all())
    hostile.on_open = hostile.on_push = hostile.on_pull = hostile.on_get = None
    hostile.calls = 0
    assert (True, 0) == (ctx.push().ok, ctx.pending_operations)
    _ = ctx.pull(BOOKS, name="other")
    assert ["b"] == [record["id"] for record in hostile.authority.records("book")]
    return [] == faults(store)
