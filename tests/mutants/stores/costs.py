"""Broken stores: what takes longer than an index promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from tests.mutants.stores.bases import broken
from tidesync.query import Query
from tidesync.records import Record
from tidesync.stores import SQLiteStore
from tidesync.stores.sqlite_transaction import SQLiteTransaction


@broken("test_an_index_finds_and_orders")
class IndexesAreDropped(SQLiteStore):
    """Indexes are declared, and never made."""

    def open(self, tables: Any) -> None:
        super().open([attrs.evolve(table, indexes=()) for table in tables])


@broken("test_an_index_finds_and_orders")
class IndexesOfOneColumn(SQLiteStore):
    """An index has its first column only."""

    def open(self, tables: Any) -> None:
        super().open(
            [
                attrs.evolve(table, indexes=tuple({index[:1]: None for index in table.indexes}))
                for table in tables
            ]
        )


@broken("test_an_index_counts_and_deletes")
class CountsByReading(SQLiteTransaction):
    """Count reads all records of the table, and looks at each."""

    def count(self, query: Query) -> int:
        _ = sum(1 for _ in super().select(Query(query.table)))
        return super().count(query)


@broken("test_an_index_counts_and_deletes")
class DeletesByReading(SQLiteTransaction):
    """Delete_where reads the table to find what to delete."""

    def delete_where(self, query: Query) -> int:
        there = [row["id"] for row in super().select(Query(query.table))]
        wanted = {row["id"] for row in super().select(query)}
        return self.delete(query.table, [str(id) for id in there if id in wanted])


@broken("test_ids_are_found_at_once")
class GetsByReading(SQLiteTransaction):
    """Get reads the table into a dict."""

    def get(self, table: str, ids: Any) -> Any:
        rows = {row["id"]: row for row in super().select(Query(table))}
        return [rows.get(id) for id in ids]


@broken("test_an_index_that_comes_later_serves_too")
class IndexesAreMadeOnce(SQLiteStore):
    """An index is made with its table, and not when it is declared later."""

    made: dict[str, Any]

    def open(self, tables: Any) -> None:
        self.made = getattr(self, "made", {})
        super().open(
            [attrs.evolve(each, indexes=self.made.setdefault(each.name, each.indexes)) for each in tables]
        )


@broken("test_an_iterator_reads_as_it_is_asked")
class FetchesAll(SQLiteTransaction):
    """All records are read before the first one is given."""

    def select(self, query: Query) -> Iterator[Record]:
        return iter(list(super().select(query)))
