"""Broken stores: single calls."""

from __future__ import annotations

from typing import Any

import attrs

from tests.mutants.stores.bases import broken
from tidesync.contracts.store import StoreCapabilities
from tidesync.errors import StoreError
from tidesync.query import Query
from tidesync.stores import MemoryStore
from tidesync.stores.memory import MemoryTransaction


@broken("test_capabilities_are_as_declared")
class TellsLate(MemoryStore):
    """What the store can do is only known when it is open."""

    @property
    def capabilities(self) -> StoreCapabilities:
        return StoreCapabilities(durable=not self.is_open)


@broken("test_put_replaces_whole_records")
class PutMerges(MemoryTransaction):
    """Put merges a record into the one that is there."""

    def put(self, table: str, records: Any) -> None:
        old = super().get(table, [record["id"] for record in records])
        super().put(table, [{**(row or {}), **record} for row, record in zip(old, records, strict=True)])


@broken("test_the_later_of_two_with_one_id_stays")
class FirstOfTwoStays(MemoryTransaction):
    """Of two records with one id in a page, the first is kept."""

    def put(self, table: str, records: Any) -> None:
        first: dict[Any, Any] = {}
        for record in records:
            first.setdefault(record["id"], record)
        super().put(table, list(first.values()))


@broken("test_empty_calls_do_nothing")
class EmptyListIsAnError(MemoryTransaction):
    """No ids become `IN ()`, which the database refuses."""

    def get(self, table: str, ids: Any) -> Any:
        if not len(ids):
            raise StoreError('near ")": syntax error')
        return super().get(table, ids)


@broken("test_get_answers_in_order")
class GetLeavesOutWhatIsMissing(MemoryTransaction):
    """Get gives the records that it found, and nothing for an id without one."""

    def get(self, table: str, ids: Any) -> Any:
        return [row for row in super().get(table, ids) if row is not None]


@broken("test_get_answers_in_order")
class GetSorts(MemoryTransaction):
    """Get gives records in the order in which the database found them."""

    def get(self, table: str, ids: Any) -> Any:
        return super().get(table, sorted(ids))


@broken("test_get_takes_any_number_of_ids")
class GetCutsOneOff(MemoryTransaction):
    """A long list of ids is cut at 999, and the first id of each next part is left out."""

    def get(self, table: str, ids: Any) -> Any:
        found = super().get(table, ids)
        return [None if place and place % 999 == 0 else row for place, row in enumerate(found)]


@broken("test_delete_tells_how_many_went")
class DeleteCountsWhatWasAsked(MemoryTransaction):
    """Delete tells how many ids it was given."""

    def delete(self, table: str, ids: Any) -> int:
        _ = super().delete(table, ids)
        return len(ids)


@broken("test_delete_takes_any_number_of_ids")
class DeleteCountsTheLastPart(MemoryTransaction):
    """A long list of ids is deleted in parts of 500, and only the last part is counted."""

    def delete(self, table: str, ids: Any) -> int:
        counts = [
            super(DeleteCountsTheLastPart, self).delete(table, ids[n : n + 500])
            for n in range(0, len(ids), 500)
        ]
        return counts[-1] if counts else super().delete(table, ids)


@broken("test_put_takes_any_number_of_records")
class PutForgetsTheRest(MemoryTransaction):
    """Records are written in parts of 500, and the last part only if it is full."""

    def put(self, table: str, records: Any) -> None:
        super().put(table, records if len(records) < 500 else records[: len(records) // 500 * 500])


@broken("test_a_table_that_was_not_opened_is_unknown")
class UnknownTableIsEmpty(MemoryTransaction):
    """A table that nobody opened has no records, and so a count of 0."""

    def count(self, query: Query) -> int:
        return super().count(query) if query.table in self._store.tables else 0


@broken("test_a_reading_transaction_does_not_write")
class ReadingTransactionWrites(MemoryTransaction):
    """Writing in a transaction that only reads is no error, and is lost."""

    def _check(self, table: str, *, write: bool = False) -> None:
        super()._check(table)


@broken("test_a_reading_transaction_does_not_write")
class DeleteWhereForgetsToAsk(MemoryTransaction):
    """Put and delete refuse a transaction that only reads, delete_where does not."""

    def delete_where(self, query: Query) -> int:
        writes, self._write = self._write, True
        try:
            return super().delete_where(query)
        finally:
            self._write = writes


@broken("test_count_ignores_skip_and_take")
class CountAfterTake(MemoryTransaction):
    """Count tells how many records are on the page."""

    def count(self, query: Query) -> int:
        return len(self._selected(query))


@broken("test_delete_where_deletes_what_select_gives")
class DeleteWhereDeletesAll(MemoryTransaction):
    """Delete_where deletes all that matches, whatever the query takes."""

    def delete_where(self, query: Query) -> int:
        return super().delete_where(attrs.evolve(query, skip=0, take=None))


@broken("test_delete_where_deletes_what_select_gives")
class DeleteWhereIgnoresOrder(MemoryTransaction):
    """`DELETE … LIMIT` takes the first rows that come, not the first of the order."""

    def delete_where(self, query: Query) -> int:
        return super().delete_where(attrs.evolve(query, order=()))


@broken("test_ids_that_are_no_text_are_refused")
class IdsAreMadeText(MemoryTransaction):
    """A number among ids is made text, and deletes a record."""

    def delete(self, table: str, ids: Any) -> int:
        return super().delete(table, [str(id) for id in ids])


@broken("test_a_record_needs_an_id")
class MissingIdsAreMade(MemoryTransaction):
    """A record without an id gets one."""

    def put(self, table: str, records: Any) -> None:
        super().put(
            table, [{"id": "new", **record} if type(record) is dict else record for record in records]
        )


@broken("test_system_tables_are_ordinary")
class SystemTablesAreHidden(MemoryTransaction):
    """Tables whose names begin with two underscores are thought to be the store's own, and not searched."""

    def _selected(self, query: Query) -> Any:
        return [] if query.table.startswith("__") else super()._selected(query)


@broken("test_any_name_of_a_table_is_a_name")
class TablesIgnoreCase(MemoryTransaction):
    """Names of tables that differ in case alone are one table, as in SQL."""

    def _rows(self, table: str) -> Any:
        return super()._rows(min(name for name in self._tables if name.lower() == table.lower()))


@broken("test_many_tables")
class AHundredTables(MemoryStore):
    """A table more than a hundred takes the place of the first one."""

    def open(self, tables: Any) -> None:
        super().open(tables)
        names = list(self.tables)
        for number in range(100, len(names)):
            self.tables[names[number]] = self.tables[names[number - 100]]
