"""The memory store, quick at the few queries that the engine asks of its own tables.

Compiling a query costs more than asking it of three rows, and a simulation does little else. What a query of a user's
table means is left to the memory store, and some runs use that for everything. A world runs in one thread.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from tidesync.query import And, Compare, Expr, Field, In, Query, Value
from tidesync.records import Record
from tidesync.stores.memory import Matches, MemoryStore, MemoryTransaction, copied

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip


class QuickStore(MemoryStore):
    """A memory store that trusts the engine with its own tables: it hands out their rows as they are."""

    def matches(self, query: Query) -> Matches:
        """The condition, compiled by hand where it is one of those that the engine asks."""
        if query.table.startswith("__"):
            quick = _quick(query.where)
            if quick is not None:
                return quick
        return super().matches(query)

    def transaction(self, *, write: bool) -> MemoryTransaction:
        """As the memory store's, for one thread alone."""
        return _QuickTransaction(self, write)


class _QuickTransaction(MemoryTransaction):
    def __enter__(self) -> MemoryTransaction:
        self._tables, self._generation, self._live = self._store.tables, self._store.generation, True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live = False
        if kind is None:
            for name, changes in self._changes.items():
                rows = self._tables[name]
                for id, row in changes.items():
                    if row is not None:
                        rows[id] = row
                    else:
                        _ = rows.pop(id, None)

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        rows, changes = self._tables[table], self._changes.get(table)
        found = (
            [changes[id] if id in changes else rows.get(id) for id in ids]
            if changes
            else [*map(rows.get, ids)]
        )
        return found if table.startswith("__") else [row and copied(row) for row in found]

    def select(self, query: Query) -> Iterator[Record]:
        if not query.table.startswith("__") or query.fields is not None:
            return super().select(query)
        there = self._tables[query.table] or self._changes.get(query.table)
        return iter(self._selected(query) if there else ())

    def _check(self, table: str, *, write: bool = False) -> None:
        """Nothing: the engine uses no transaction after its end, and knows its tables."""

    def put(self, table: str, records: Sequence[Record]) -> None:
        if not table.startswith("__"):
            super().put(table, records)
            return
        changes = self._changes.setdefault(table, {})
        for row in records:
            changes[row["id"]] = row  # type: ignore[index]  # the engine's own ids are text


def _quick(where: Expr | None) -> Matches | None:
    """What the condition says, if it is of the kinds that the engine asks; else None."""
    if where is None:
        return _anything
    if type(where) is not And:
        return _test(where)
    tests: list[Matches] = []
    for item in where.items:
        test = _test(item)
        if test is None:
            return None
        tests.append(test)

    def matches(row: Record) -> bool:
        for test in tests:  # noqa: SIM110  # a generator for each row would cost more than the tests
            if not test(row):
                return False
        return True

    return matches


def _anything(_: Record) -> bool:
    return True


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
