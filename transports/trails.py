"""What rows held before they were written again: so that followers learn what has left their view.

A follower with a view is told that a record is gone only if it may have held it: if a content that the record
had since the follower was last up to date was in the view. So once a table has been followed through a view,
every commit keeps the content that it replaces, under the number at which it was left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tidesync.contracts.store import StoreTransaction
from tidesync.query import And, Compare, Field, In, Query, Value, equals
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.transports.views import View
from tidesync.values import ColumnType

TRAILS: Final = TableSchema(
    "__trails",
    (
        Column("table", ColumnType.STRING),
        Column("record", ColumnType.STRING),
        Column("left", ColumnType.INTEGER),
        Column("at", ColumnType.DATETIME),
        Column("row", ColumnType.JSON),
    ),
    {},
    (("table", "record", "left"), ("at",)),
)

_AT_ONCE: Final = 1000


def trail(table: str, row: Record, left: int, at: str) -> Record:
    """What is kept of a row that was replaced by the one with the number `left`."""
    # The text of the id grows with the number, so that the store appends.
    return {"id": f"{left:019}", "table": table, "record": row["id"], "left": left, "at": at, "row": row}


def seen_since(
    transaction: StoreTransaction, table: str, ids: Iterable[str], since: int, view: View
) -> frozenset[str]:
    """Those of the ids under which something was in the view, and was left after `since`."""
    wanted, seen = tuple(ids), set[str]()
    after = Compare("gt", Field("left", ColumnType.INTEGER), Value(since, ColumnType.INTEGER))
    for start in range(0, len(wanted), _AT_ONCE):
        these = In(Field("record", ColumnType.STRING), wanted[start : start + _AT_ONCE])
        query = Query(TRAILS.name, And((equals("table", table, ColumnType.STRING), these, after)))
        for kept in transaction.select(query):
            id, row = str(kept["record"]), kept["row"]
            assert isinstance(row, dict)
            if id not in seen and view.matches(row):
                seen.add(id)
    return frozenset(seen)
