"""What a call of a sync table does inside its transaction: both faces, with and without `await`, run the same steps.

What is given is checked when the step is made, before a transaction begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from tidesync import writes
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import RecordNotFound
from tidesync.objects import Table
from tidesync.query import Query
from tidesync.queue import Queue
from tidesync.records import Record, check_id

T = TypeVar("T")
U = TypeVar("U")
Writing: TypeAlias = Callable[[Queue], U]
Reading: TypeAlias = Callable[[StoreTransaction], U]


def insert(table: Table[T], item: T | dict[str, Any]) -> Writing[T]:
    """Insert an object."""
    record, generated = writes.prepare(table, item)
    return lambda queue: writes.insert(queue, table, record, generated=generated)


def insert_many(table: Table[T], items: Iterable[T | dict[str, Any]]) -> Writing[list[T]]:
    """Insert many objects: all of them, or none."""
    prepared = [writes.prepare(table, item) for item in items]
    return lambda queue: writes.insert_all(queue, table, prepared)


def update(table: Table[T], item: T | dict[str, Any] | str, changes: Mapping[str, object]) -> Writing[T]:
    """Update by an object, or by an id and changes."""
    if isinstance(item, str):
        _ = table.changes(**changes)
        return lambda queue: writes.change(queue, table, item, changes)
    if changes:
        raise TypeError("update() takes an object, or an id and changes, not both")
    return lambda queue: writes.update(queue, table, item)


def upsert(table: Table[T], item: T | dict[str, Any]) -> Writing[T]:
    """Insert the object, or update the record that has its id."""
    record, generated = writes.prepare(table, item)

    def step(queue: Queue) -> T:
        if queue.ledger.local(table.name, str(record["id"])) is None:
            return writes.insert(queue, table, record, generated=generated)
        return writes.update(queue, table, item)

    return step


def delete(table: Table[T], item: T | dict[str, Any] | str) -> Writing[None]:
    """Delete by id or object."""
    if isinstance(item, str):
        return lambda queue: writes.delete(queue, table.name, item)
    given = table.to_record(item)
    id = check_id(table.name, given.get("id"))
    return lambda queue: writes.delete(queue, table.name, id, given)


def get(table: Table[T], id: str) -> Reading[list[T]]:
    """The object of this id, if there is one."""
    wanted = check_id(table.name, id)
    return lambda transaction: [
        table.from_record(record) for record in transaction.get(table.name, [wanted]) if record is not None
    ]


def refresh(table: Table[T], item: T) -> Reading[T]:
    """The object as it is now."""
    id = check_id(table.name, table.to_record(item).get("id"))
    found = get(table, id)

    def step(transaction: StoreTransaction) -> T:
        for each in found(transaction):
            return each
        raise RecordNotFound(table.name, id)

    return step


def fetch(query: Query) -> Reading[tuple[list[Record], int | None]]:
    """The records of a query, and how many there are without skip and take, if that was asked."""
    return lambda transaction: (
        list(transaction.select(query)),
        transaction.count(query) if query.total else None,
    )


def count(query: Query) -> Reading[int]:
    """How many records a query has."""
    return lambda transaction: transaction.count(query)
