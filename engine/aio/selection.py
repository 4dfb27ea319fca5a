"""A query that can be refined, and run with `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import attrs

from tidesync.query import Query
from tidesync.records import Record
from tidesync.selection import Refined, Rows

T = TypeVar("T")
U = TypeVar("U")


class AsyncAnswers(Protocol):
    """Where a selection is run. What is made of the records is made off the event loop."""

    async def fetch(self, query: Query, make: Callable[[tuple[list[Record], int | None]], U], /) -> U:
        """What `make` makes of the records and their total (None unless asked for)."""
        ...

    def count(self, query: Query, /) -> Awaitable[int]:
        """How many there are, without skip and take."""
        ...


@attrs.frozen
class AsyncSelection(Refined[T]):
    """Which records, in which order. Frozen: each method returns another selection. Iterating runs it."""

    _answers: AsyncAnswers = attrs.field(repr=False, eq=False)

    async def all(self) -> Rows[T]:
        """Run it: all results, in order."""
        return await self._answers.fetch(self.query, self.rows_of)

    async def __aiter__(self) -> AsyncIterator[T]:
        for row in await self.all():
            yield row

    async def first(self) -> T | None:
        """The first result, None if there is none."""
        rows = await self.take(1).all()
        return rows[0] if rows else None

    async def count(self) -> int:
        """How many there are, without skip and take."""
        return await self._answers.count(self.query)

    async def values(self, *columns: object) -> list[Any]:
        """The values of one column, or tuples of several."""
        names = self.table.selection(*columns)
        wanted = attrs.evolve(self.query, fields=names)
        return await self._answers.fetch(wanted, lambda found: self.values_of(found[0], names))
