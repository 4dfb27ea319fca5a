"""What a live query had last, and whether what changed since can make it another.

That is decided first, by one get of the ids that changed:

* A record of the result touches it unless it is as it was.
* Any other touches it if it matches now. If it matched before, it is in the result, or `take` or `skip` kept it out.
* Behind a full `take`, one that sorts after the last of the result does not touch it, but for its total.
* With `skip`, nobody knows whether it was among those left out: it touches it.

What is not known by id, or is too much, touches it. Then the query runs, and what is the same as before is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.errors import InvalidQuery
from tidesync.objects import Table
from tidesync.predicate import matcher, ordered
from tidesync.query import Query
from tidesync.records import Record, same
from tidesync.selection import Refined, Rows
from tidesync.values import copy_json

T = TypeVar("T")


class Result:
    """What a query had: records in order, and their total if that was asked."""

    __slots__ = ("by_id", "records", "total")

    def __init__(self, records: list[Record], total: int | None) -> None:
        self.records, self.total = records, total
        self.by_id = {record["id"]: record for record in records}

    def same_as(self, other: Result) -> bool:
        """Whether nobody could tell them apart."""
        return self.total == other.total and same(self.records, other.records)


def touches(
    query: Query, matches: Callable[[Record], bool], last: Result, now: Mapping[str, Record | None]
) -> bool:
    """Whether records that changed, by id as they are now, can make the result another: False is certain."""
    full = query.take is not None and len(last.records) >= query.take
    for id, record in now.items():
        was = last.by_id.get(id)
        if was is not None:
            if record is None or not same(was, record):
                return True
            continue
        if query.skip or (full and query.total):
            return True
        if record is not None and matches(record) and not (full and _behind(query, last, record)):
            return True
    return False


def _behind(query: Query, last: Result, record: Record) -> bool:
    """Whether a record sorts after all of a result."""
    return not last.records or ordered((record, last.records[-1]), query.order)[1] is record


class View(Generic[T]):
    """A query of a table, to be looked at again and again."""

    def __init__(self, table: Table[T], query: Query) -> None:
        self.table, self.query = table, attrs.evolve(query, fields=None)
        try:
            self._matches = matcher(query.where)
        except RecursionError:
            raise InvalidQuery("the condition is nested too deeply: make it flatter") from None

    def look(
        self, last: Result | None, changed: Collection[str]
    ) -> Callable[[StoreTransaction], tuple[Result, Rows[T]] | None]:
        """The step that finds another result than the last; None if there is none. `changed` empty: who knows what."""

        def step(transaction: StoreTransaction) -> tuple[Result, Rows[T]] | None:
            query = self.query
            if last is not None and changed:
                ids = list(changed)
                now = dict(zip(ids, transaction.get(query.table, ids), strict=True))
                if not self._touches(last, now):
                    return None
            records = list(transaction.select(query))
            result = Result(records, transaction.count(query) if query.total else None)
            if last is not None and result.same_as(last):
                return None
            return result, self._rows(result)

        return step

    def _touches(self, last: Result, now: Mapping[str, Record | None]) -> bool:
        try:
            return touches(self.query, self._matches, last, now)
        except RecursionError:  # nested just too deeply to be asked; the store may do it otherwise
            return True

    def _rows(self, result: Result) -> Rows[T]:
        """The objects; what they share with nobody is what the next result is compared with."""
        records = [_copy(record) for record in result.records] if self.table.untyped else result.records
        return Refined(self.table, self.query).rows_of((records, result.total))


def _copy(record: Record) -> Record:
    return {name: copy_json(value) for name, value in record.items()}
