"""How an authority forgets: old tombstones, and what left somebody's view long ago.

It goes in parts, each a transaction of its own with the fences that belong to it, so that writers wait for a part
at most, and an end at any moment leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.query import And, Compare, Expr, Field, Order, Query, Value
from tidesync.records import Record
from tidesync.transports.layout import DEAD, SEQUENCE, read_meta
from tidesync.transports.trails import TRAILS
from tidesync.values import ColumnType

PART: Final = 1_000
"""Rows that go in one transaction."""


def compact(store: Store, tables: Iterable[str], before: str) -> int:
    """Forget what was deleted or left before a moment, canonical text; how many tombstones went."""
    gone = 0
    for table in tables:
        after, full = "", True
        while full:
            with store.transaction(write=True) as transaction:
                rows = _rows(transaction, table, "updated_at", after, before, DEAD)
                _forget_tombstones(transaction, table, rows)
            gone += len(rows)
            full = len(rows) == PART
            after = str(rows[-1]["updated_at"]) if full else ""
    full = True
    while full:
        with store.transaction(write=True) as transaction:
            rows = _rows(transaction, TRAILS.name, "at", "", before)
            _forget_trails(transaction, rows)
        full = len(rows) == PART
    return gone


def _rows(
    transaction: StoreTransaction, table: str, moment: str, after: str, before: str, *more: Expr
) -> Sequence[Record]:
    """A part of the rows from one moment to another, the oldest first."""
    field = Field(moment, ColumnType.DATETIME)
    late = Compare("lt", field, Value(before, ColumnType.DATETIME))
    early = (Compare("ge", field, Value(after, ColumnType.DATETIME)),) if after else ()
    fields = (moment, SEQUENCE) if more else ("table", "left")
    query = Query(table, And((late, *early, *more)), (Order(field),), take=PART, fields=fields)
    return list(transaction.select(query))


def _forget_tombstones(transaction: StoreTransaction, table: str, rows: Sequence[Record]) -> None:
    if rows:
        _ = transaction.delete(table, [str(row["id"]) for row in rows])
        meta = read_meta(transaction)
        last = max(int(str(row[SEQUENCE])) for row in rows)
        fences = {**meta.fences, table: max(meta.fences.get(table, 0), last)}
        attrs.evolve(meta, fences=fences).write(transaction)


def _forget_trails(transaction: StoreTransaction, rows: Sequence[Record]) -> None:
    if rows:
        _ = transaction.delete(TRAILS.name, [str(row["id"]) for row in rows])
        meta = read_meta(transaction)
        trails = dict(meta.trails)
        for row in rows:
            table = str(row["table"])
            trails[table] = max(trails.get(table, 0), int(str(row["left"])))
        attrs.evolve(meta, trails=trails).write(transaction)
