"""A remote table on an event loop: the records at the remote, read and written directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from tidesync.aio.selection import AsyncSelection
from tidesync.effects import Plan
from tidesync.objects import Table
from tidesync.plans import online
from tidesync.plans.online import Wish
from tidesync.query import Query
from tidesync.records import Record, alive, check_id
from tidesync.remote import Wishes
from tidesync.selection import Rows

T = TypeVar("T")
U = TypeVar("U")


class AsyncDriven(Protocol):
    """What runs a plan against the remote, once it is known who that is."""

    def __call__(self, plan: Callable[[], Plan[U]], /) -> Awaitable[U]:
        """Run the plan, and return its result."""
        ...


class Aside(Protocol):
    """What has done, off the event loop, what touches no store and takes long."""

    def __call__(self, call: Callable[[], U], /) -> Awaitable[U]:
        """Call it there."""
        ...


class AsyncRemoteTable(Generic[T]):
    """The table at the remote. `parameters` go with every request, where the transport has a place for them.

    Every method raises `NotReachable`, `RemoteUnavailable` (a write may then be in effect), `Unauthorized`,
    `RequestRefused` or `ProtocolError`; writes raise `RemoteConflict` where the remote holds something else.
    """

    def __init__(
        self, run: AsyncDriven, aside: Aside, table: Table[T], parameters: Mapping[str, str]
    ) -> None:
        self._run, self._aside = run, aside
        self.table, self._wishes = table, Wishes(table, parameters)

    def __repr__(self) -> str:
        return f"<remote table {self.table.name}>"

    async def insert(self, item: T | dict[str, Any]) -> T:
        """Insert and return the remote's record; `RemoteConflict` if the id is taken."""
        return await self._write(self._wishes.insert(item))

    async def update(self, item: T | dict[str, Any]) -> T:
        """Update by an object; one that carries a version only if the remote still has that version."""
        return await self._write(self._wishes.update(item))

    async def delete(self, item: T | dict[str, Any] | str) -> None:
        """Delete by id, or by an object: if it carries a version, only that version. What is gone is no error."""
        wish = self._wishes.delete(item)
        _ = await self._run(lambda: online.send(wish))

    async def undelete(self, id: str, *, version: str | None = None) -> T:
        """Bring a deleted record back as it was, and return it."""
        return await self._write(self._wishes.undelete(id, version))

    async def get(self, id: str) -> T | None:
        """The record as it is at the remote now, None if there is none."""
        wanted = check_id(self.table.name, id)
        copy = await self._run(lambda: online.read(self.table.name, wanted))
        return self.table.from_record(copy) if alive(copy) else None

    def where(self, *conditions: object, **equalities: object) -> AsyncSelection[T]:
        """The records at the remote that match. Runs when iterated."""
        answers = _Online(self._run, self._aside, self._wishes.parameters)
        return AsyncSelection(self.table, Query(self.table.name), answers).where(*conditions, **equalities)

    async def all(self) -> Rows[T]:
        """All records at the remote."""
        return await self.where().all()

    async def count(self) -> int:
        """How many records there are at the remote."""
        return await self.where().count()

    async def _write(self, wish: Wish) -> T:
        return self.table.from_record(await self._run(lambda: online.write(wish)))


class _Online:
    """Runs selections at the remote."""

    def __init__(self, run: AsyncDriven, aside: Aside, parameters: Mapping[str, str]) -> None:
        self._run, self._aside, self._parameters = run, aside, parameters

    async def fetch(self, query: Query, make: Callable[[tuple[list[Record], int | None]], U], /) -> U:
        found = await self._run(lambda: online.fetch(query, self._parameters))
        return await self._aside(lambda: make(found))

    async def count(self, query: Query, /) -> int:
        return await self._run(lambda: online.count(query, self._parameters))
