"""Broken stores: mistakes that show after a history of calls, which no single rule is about."""

from __future__ import annotations

from tests.mutants.stores.bases import broken
from tidesync.query import Compare, Query
from tidesync.records import Record
from tidesync.stores import MemoryStore
from tidesync.stores.memory import MemoryTransaction


@broken("test_any_calls_leave_what_a_model_holds")
class IndexesForgetTheirTransaction(MemoryTransaction):
    """A query by equality finds by an index, which is brought up to date at the commit."""

    def _selected(self, query: Query) -> list[Record]:
        found = super()._selected(query)
        changes = self._changes.get(query.table)
        if isinstance(query.where, Compare) and query.where.op == "eq" and changes:
            return [row for row in found if str(row["id"]) in self._tables[query.table]]
        return found


@broken("test_any_calls_leave_what_a_model_holds")
class ReopeningMakesNumbers(MemoryStore):
    """True is 1 in a store that was closed and opened again."""

    def close(self) -> None:
        super().close()
        for rows in self.tables.values():
            for row in rows.values():
                row.update({name: int(value) for name, value in row.items() if type(value) is bool})
