"""The memory store, quick at the few queries that the engine asks of its own tables.

Compiling a query costs more than asking it of three rows, and a simulation does little else. What a query of a user's
table means is left to the memory store, and some runs use that for everything.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from tidesync.query import And, Compare, Expr, Field, In, Query, Value
from tidesync.records import Record
from tidesync.stores import memory
from tidesync.stores.memory import Matches, MemoryStore, MemoryTransaction

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip


class QuickStore(MemoryStore):
    """A memory store that trusts the engine with its own tables."""

    def matches(self, query: Query) -> Matches:
        """The condition, compiled by hand where it is one of those that the engine asks."""
        if query.table.startswith("__"):
            quick = _quick(query.where)
            if quick is not None:
                return quick
        return super().matches(query)

    def transaction(self, *, write: bool) -> MemoryTransaction:
        """As the memory store's."""
        return _QuickTransaction(self, write)


class _QuickTransaction(MemoryTransaction):
    def put(self, table: str, records: Sequence[Record]) -> None:
        if not table.startswith("__"):
            super().put(table, records)
            return
        self._check(table, write=True)
        copied = memory.copied
        self._changes.setdefault(table, {}).update((row["id"], copied(row)) for row in records)  # type: ignore[misc]


def _quick(where: Expr | None) -> Matches | None:
    if where is None:
        return lambda row: True
    tests = [_test(item) for item in (where.items if isinstance(where, And) else (where,))]
    if None in tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)  # type: ignore[misc]


def _test(item: Expr) -> Matches | None:
    if type(item) is Compare and type(item.left) is Field and type(item.right) is Value:
        name, value = item.left.name, item.right.value
        if item.op == "eq":
            return lambda row: row[name] == value
        compare = _ORDER.get(item.op)
        if compare is not None and value is not None:
            return lambda row: row[name] is not None and compare(row[name], value)
    if type(item) is In and type(item.item) is Field:
        field, values = item.item.name, set(item.values)
        return lambda row: row[field] in values
    return None
