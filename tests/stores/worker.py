"""A process that adds to a counter, for the tests of stores that several processes share: `worker.py path times`."""

import sys

from tidesync.query import Query
from tidesync.schema import Column, TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.values import ColumnType

TABLE = TableSchema("count", (Column("number", ColumnType.INTEGER),), indexes=(("number",),))


def opened(path: str, *tables: TableSchema) -> SQLiteStore:
    store = SQLiteStore(path, busy_timeout=60.0)
    store.open(tables or [TABLE])
    return store


def add(path: str, times: str) -> None:
    """Add one to a counter, so many times, reading between; open the file anew now and then."""
    store = opened(path)
    for n in range(int(times)):
        with store.transaction(write=True) as transaction:
            (row,) = transaction.get("count", ["sum"])
            number = row["number"] if row else 0
            assert isinstance(number, int)
            transaction.put("count", [{"id": "sum", "number": number + 1}])
        with store.transaction(write=False) as transaction:
            assert 1 == transaction.count(Query("count"))
        if n % 10 == 9:
            store.close()
            store = opened(path)
    store.close()


def first(path: str, number: str) -> None:
    """Be one of several that open a new file at once, each with a column of its own."""
    column = Column(f"column_{number}", ColumnType.STRING)
    store = opened(path, TableSchema("count", (column,)), TableSchema(f"own_{number}"))
    with store.transaction(write=True) as transaction:
        transaction.put("count", [{"id": number, f"column_{number}": number}])
    store.close()


if __name__ == "__main__":
    add(*sys.argv[1:])
