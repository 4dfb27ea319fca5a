"""A sync table on an event loop: local records that can be read and written with or without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from tidesync import steps
from tidesync.aio.remote import Aside
from tidesync.aio.selection import AsyncSelection
from tidesync.aio.watching import AsyncWatch
from tidesync.objects import Table
from tidesync.plans.pull import Departures, Push
from tidesync.plans.purge import PurgeReport
from tidesync.query import Query
from tidesync.records import Record
from tidesync.reports import PullReport
from tidesync.selection import Rows

if TYPE_CHECKING:
    from tidesync.aio.context import AsyncSyncContext

T = TypeVar("T")
U = TypeVar("U")


class AsyncSyncTable(Generic[T]):
    """The local records of one table, and the door to its push, pull and purge.

    A write changes the record and queues the operation in one store transaction; it never touches the network.
    Objects go in and come out as the table's class (dicts for a table made from columns).
    """

    def __init__(self, context: AsyncSyncContext, table: Table[T], aside: Aside) -> None:
        self._context, self.table, self._aside = context, table, aside

    def __repr__(self) -> str:
        return f"<sync table {self.table.name}>"

    # ---- writes

    async def insert(self, item: T | dict[str, Any]) -> T:
        """Insert an object and return it as it is stored; an empty or missing id is generated.

        Raises `RecordExists`, `InvalidRecord`, `InvalidId`.
        """
        return await self._context.write(steps.insert(self.table, item))

    async def insert_many(self, items: Iterable[T | dict[str, Any]]) -> list[T]:
        """Insert many objects in one transaction: all of them, or none. Raises as `insert` does."""
        given = list(items)  # on the loop, where they belong
        step = await self._aside(lambda: steps.insert_many(self.table, given))
        return await self._context.write(step)

    @overload
    async def update(self, item: T | dict[str, Any], /) -> T: ...
    @overload
    async def update(self, id: str, /, **changes: Any) -> T: ...
    async def update(self, item: T | dict[str, Any] | str, /, **changes: Any) -> T:
        """Update by an object, or by an id and the fields to change; returns the object as it is stored.

        A dict changes the fields that it has. Fields that the class does not name survive. An object with a
        `version` older than what the remote has sent since is `StaleRecord`. Raises `RecordNotFound`, `InvalidRecord`.
        """
        return await self._context.write(steps.update(self.table, item, changes))

    async def upsert(self, item: T | dict[str, Any]) -> T:
        """Insert the object, or update the record that has its id; raises as `update` does."""
        return await self._context.write(steps.upsert(self.table, item))

    async def delete(self, item: T | dict[str, Any] | str) -> None:
        """Delete by id or object; an object with a `version` is checked as for an update. Raises `RecordNotFound`."""
        await self._context.write(steps.delete(self.table, item))

    # ---- reads

    async def get(self, id: str) -> T | None:
        """The record of this id, None if there is none."""
        return next(iter(await self._context.read(steps.get(self.table, id))), None)

    async def refresh(self, item: T) -> T:
        """The object as the local store has it now; raises `RecordNotFound` if it is gone."""
        return await self._context.read(steps.refresh(self.table, item))

    def where(self, *conditions: object, **equalities: object) -> AsyncSelection[T]:
        """The records that match: `where(todos.c.text.contains("milk"), complete=False)`. Runs when iterated.

        Raises `InvalidQuery`, `UnknownColumn`, and `TypeError` for a condition that is a mere True or False.
        """
        return AsyncSelection(self.table, Query(self.table.name), _Local(self._context)).where(
            *conditions, **equalities
        )

    def order_by(self, *keys: object, descending: bool = False) -> AsyncSelection[T]:
        """All records, sorted."""
        return self.where().order_by(*keys, descending=descending)

    async def all(self) -> Rows[T]:
        """All records, by id."""
        return await self.where().all()

    def __aiter__(self) -> AsyncIterator[T]:
        return aiter(self.where())

    async def first(self) -> T | None:
        """The first record by id, None if there is none."""
        return await self.where().first()

    async def count(self) -> int:
        """How many records there are."""
        return await self.where().count()

    async def values(self, *columns: object) -> list[Any]:
        """The values of one column of all records, or tuples of several."""
        return await self.where().values(*columns)

    def watch(
        self,
        query: object = None,
        callback: Callable[[Rows[T]], object] | None = None,
        *,
        poll: float | None = 1.0,
    ) -> AsyncWatch[T]:
        """Watch a query of this table, or all of it: see `SyncContext.watch`."""
        return self._context.watch(self.table, query, callback, poll=poll)

    # ---- sync

    async def pull(
        self,
        query: object = None,
        *,
        name: str | None = None,
        departures: Departures = "keep",
        reconcile: bool = False,
        push: Push = "context",
        resync: bool = False,
        parameters: Mapping[str, str] | None = None,
    ) -> PullReport:
        """Pull this table: see `SyncContext.pull`."""
        return await self._context.pull(
            self.table, query, name=name, departures=departures, reconcile=reconcile, push=push, resync=resync,
            parameters=parameters,
        )  # fmt: skip

    async def purge(
        self, query: object = None, *, name: str | None = None, force: bool = False
    ) -> PurgeReport:
        """Purge this table: see `SyncContext.purge`."""
        return await self._context.purge(self.table, query, name=name, force=force)


class _Local:
    """Runs selections on the local store."""

    def __init__(self, context: AsyncSyncContext) -> None:
        self._context = context

    async def fetch(self, query: Query, make: Callable[[tuple[list[Record], int | None]], U], /) -> U:
        found = steps.fetch(query)
        return await self._context.read(lambda transaction: make(found(transaction)))

    async def count(self, query: Query, /) -> int:
        return await self._context.read(steps.count(query))
