"""A query that can be refined and run: what `where()` returns, on sync tables and remote tables alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

import attrs

from tidesync.errors import InvalidQuery
from tidesync.objects import Table
from tidesync.query import Query, all_of
from tidesync.records import Record

T = TypeVar("T")


class Rows(list[T]):
    """A list of results; `total_count` is how many there are without skip and take, None unless asked for."""

    total_count: int | None = None


@attrs.frozen
class Answers:
    """Where a selection is run: records with their total (None unless asked for), and a count."""

    fetch: Callable[[Query], tuple[list[Record], int | None]]
    count: Callable[[Query], int]


@attrs.frozen
class Refined(Generic[T]):
    """Which records, in which order: what both faces of a selection are made of."""

    table: Table[T]
    query: Query

    def where(self, *conditions: object, **equalities: object) -> Self:
        """Those that match as well: `where(todos.c.text.contains("milk"), complete=False)`."""
        more = self.table.where(*conditions, **equalities)
        return self._with(where=all_of(self.query.where, more))

    def order_by(self, *keys: object, descending: bool = False) -> Self:
        """Sorted by these columns, after any given before; nulls first; ties by id."""
        return self._with(order=(*self.query.order, *self.table.ordering(*keys, descending=descending)))

    def skip(self, count: int) -> Self:
        """Without the first `count`; several skips add up."""
        return self._with(skip=self.query.skip + _natural("skip", count))

    def take(self, count: int) -> Self:
        """At most `count`; of several takes the least counts."""
        count = _natural("take", count)
        return self._with(take=count if self.query.take is None else min(count, self.query.take))

    def include_total_count(self) -> Self:
        """The result's `total_count` tells how many there are without skip and take."""
        return self._with(total=True)

    def _with(self, **changes: Any) -> Self:
        return attrs.evolve(self, query=attrs.evolve(self.query, **changes))

    def rows_of(self, found: tuple[list[Record], int | None]) -> Rows[T]:
        """The results, of what was fetched."""
        records, total = found
        rows = Rows(self.table.from_record(record) for record in records)
        rows.total_count = total
        return rows

    def values_of(self, records: Iterable[Record], names: Sequence[str]) -> list[Any]:
        """The values of one column, or tuples of several, of what was fetched."""
        decode = self.table.decode_field
        rows = [tuple(decode(name, record.get(name)) for name in names) for record in records]
        return [row[0] for row in rows] if len(names) == 1 else rows


@attrs.frozen
class Selection(Refined[T]):
    """Which records, in which order. Frozen: each method returns another selection. Iterating runs it."""

    _answers: Answers = attrs.field(repr=False, eq=False)

    def all(self) -> Rows[T]:
        """Run it: all results, in order."""
        return self.rows_of(self._answers.fetch(self.query))

    def __iter__(self) -> Iterator[T]:
        return iter(self.all())

    def first(self) -> T | None:
        """The first result, None if there is none."""
        rows = self.take(1).all()
        return rows[0] if rows else None

    def count(self) -> int:
        """How many there are, without skip and take."""
        return self._answers.count(self.query)

    def values(self, *columns: object) -> list[Any]:
        """The values of one column, or tuples of several."""
        names = self.table.selection(*columns)
        records, _ = self._answers.fetch(attrs.evolve(self.query, fields=names))
        return self.values_of(records, names)


def _natural(what: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InvalidQuery(f"{what}() takes a whole number from 0, not {count!r} ({type(count).__name__})")
    return count


def query_of(table: Table[Any], given: object) -> Query:
    """The query that a user gave for this table: a selection of it, a `Query`, or None for all."""
    if given is None:
        return Query(table.name)
    if isinstance(given, Refined):
        query: Query = given.query
    elif isinstance(given, Query):
        query = given
    else:
        raise InvalidQuery(
            f"{table.name}: a query is what a sync table's where() returns, as in ctx[{table.name}].where(…), "
            f"not {type(given).__name__}"
        )
    if query.table != table.name:
        raise InvalidQuery(f"this query is of table {query.table!r}, and not of {table.name!r}")
    return query
