"""The index that a file transport has where it was given none: the memory store, quick at what is asked of it.

A pull asks for rows after a sequence, in that order, page by page, and the memory store would look at every row each
time. Here the sequences of each table are kept in order; writers mostly add greater ones at the end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from tidesync.query import And, Compare, Field, Order, Query, Value
from tidesync.records import Record
from tidesync.stores.memory import MemoryStore, MemoryTransaction
from tidesync.transports.layout import SEQUENCE
from tidesync.values import ColumnType

Places: TypeAlias = list[tuple[int, str]]
"""Sequences in order, each with the id of its row; also of rows that have another one by now."""
_SEQUENCE: Final = Field(SEQUENCE, ColumnType.INTEGER)
_ORDER: Final = (Order(_SEQUENCE),)


class MemoryIndex(MemoryStore):
    """A memory store that finds rows by their sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, Places] = {}

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return _Transaction(self, write)

    def note(self, table: str, rows: Sequence[Record]) -> None:
        """Keep the sequences of rows that are about to be written; those that are no row's any more go now and then.

        A reader keeps the list that it began with, and finds in it what it began with.
        """
        new = sorted(map(_place, rows))
        places, held = self.places.setdefault(table, []), self.tables[table]
        if (places and new[0] <= places[-1]) or len(places) > 2 * len(held) + 1000:
            self.places[table] = sorted({*new, *(_place(row) for row in held.values())})
        else:
            places += new


class _Transaction(MemoryTransaction):
    def __init__(self, store: MemoryIndex, write: bool) -> None:
        super().__init__(store, write)
        self._index = store

    def __enter__(self) -> MemoryTransaction:
        entered = super().__enter__()
        # What these have more than the tables that were taken before is overlooked.
        self._places = dict(self._index.places)
        return entered

    def _commit(self) -> None:
        for table, changes in self._changes.items():
            rows = [row for row in changes.values() if row is not None and SEQUENCE in row]
            if rows:
                self._index.note(table, rows)
        super()._commit()

    def _selected(self, query: Query) -> list[Record]:
        after = _after(query)
        if after is None or self._changes.get(query.table):
            return super()._selected(query)
        self._check(query.table)
        matches, rows = self._store.matches(query), self._tables[query.table]
        places = self._places.get(query.table, [])
        found: list[Record] = []
        for sequence, id in _from(places, after):
            row = rows.get(id)
            if row is not None and row[SEQUENCE] == sequence and matches(row):
                found.append(row)
                if len(found) == query.take:
                    break
        return found


def _place(row: Record) -> tuple[int, str]:
    sequence, id = row[SEQUENCE], row["id"]
    assert isinstance(sequence, int)
    assert isinstance(id, str)
    return sequence, id


def _from(places: Places, after: int) -> Iterator[tuple[int, str]]:
    """The places after a sequence, as many as there are now."""
    for number in range(bisect_right(places, after, key=lambda place: place[0]), len(places)):
        yield places[number]


def _after(query: Query) -> int | None:
    """The sequence after which rows are asked for, in their order; None for any other question."""
    if query.order != _ORDER or query.skip or query.take == 0:
        return None
    for item in query.where.items if isinstance(query.where, And) else (query.where,):
        match item:
            case Compare("gt", Field("_sequence"), Value(int(sequence))):
                return sequence
            case _:
                continue
    return None
