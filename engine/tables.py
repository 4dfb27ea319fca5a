"""A sync table: local records that can be read and written with or without a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from tidesync import writes
from tidesync.errors import RecordNotFound
from tidesync.objects import Table
from tidesync.plans.pull import Departures, Push
from tidesync.plans.purge import PurgeReport
from tidesync.query import Query
from tidesync.queue import Queue
from tidesync.records import Record, check_id
from tidesync.reports import PullReport
from tidesync.selection import Answers, Rows, Selection

if TYPE_CHECKING:
    from tidesync.context import SyncContext

T = TypeVar("T")


class SyncTable(Generic[T]):
    """The local records of one table, and the door to its push, pull and purge.

    A write changes the record and queues the operation in one store transaction; it never touches the network.
    Objects go in and come out as the table's class (dicts for a table made from columns).
    """

    def __init__(self, context: SyncContext, table: Table[T]) -> None:
        self._context, self.table = context, table

    def __repr__(self) -> str:
        return f"<sync table {self.table.name}>"

    # ---- writes

    def insert(self, item: T | dict[str, Any]) -> T:
        """Insert an object and return it as it is stored; an empty or missing id is generated.

        Raises `RecordExists`, `InvalidRecord`, `InvalidId`.
        """
        record, generated = writes.prepare(self.table, item)
        return self._context.write(
            lambda queue: writes.insert(queue, self.table, record, generated=generated)
        )

    def insert_many(self, items: Iterable[T | dict[str, Any]]) -> list[T]:
        """Insert many objects in one transaction: all of them, or none. Raises as `insert` does."""
        prepared = [writes.prepare(self.table, item) for item in items]
        return self._context.write(lambda queue: writes.insert_all(queue, self.table, prepared))

    @overload
    def update(self, item: T | dict[str, Any], /) -> T: ...
    @overload
    def update(self, id: str, /, **changes: Any) -> T: ...
    def update(self, item: T | dict[str, Any] | str, /, **changes: Any) -> T:
        """Update by an object, or by an id and the fields to change; returns the object as it is stored.

        A dict changes the fields that it has. Fields that the class does not name survive. An object with a
        `version` older than what the remote has sent since is `StaleRecord`. Raises `RecordNotFound`, `InvalidRecord`.
        """
        if isinstance(item, str):
            id = item
            _ = self.table.changes(**changes)
            return self._context.write(lambda queue: writes.change(queue, self.table, id, changes))
        if changes:
            raise TypeError("update() takes an object, or an id and changes, not both")
        return self._context.write(lambda queue: writes.update(queue, self.table, item))

    def upsert(self, item: T | dict[str, Any]) -> T:
        """Insert the object, or update the record that has its id; raises as `update` does."""
        record, generated = writes.prepare(self.table, item)

        def step(queue: Queue) -> T:
            if queue.ledger.local(self.table.name, str(record["id"])) is None:
                return writes.insert(queue, self.table, record, generated=generated)
            return writes.update(queue, self.table, item)

        return self._context.write(step)

    def delete(self, item: T | dict[str, Any] | str) -> None:
        """Delete by id or object; an object with a `version` is checked as for an update. Raises `RecordNotFound`."""
        if isinstance(item, str):
            self._context.write(lambda queue: writes.delete(queue, self.table.name, item))
            return
        given = self.table.to_record(item)
        id = check_id(self.table.name, given.get("id"))
        self._context.write(lambda queue: writes.delete(queue, self.table.name, id, given))

    # ---- reads

    def get(self, id: str) -> T | None:
        """The record of this id, None if there is none."""
        wanted = check_id(self.table.name, id)
        record = self._context.read(lambda transaction: transaction.get(self.table.name, [wanted])[0])
        return None if record is None else self.table.from_record(record)

    def __contains__(self, id: object) -> bool:
        """Whether there is a record of this id."""
        return isinstance(id, str) and self.get(id) is not None

    def refresh(self, item: T) -> T:
        """The object as the local store has it now; raises `RecordNotFound` if it is gone."""
        id = check_id(self.table.name, self.table.to_record(item).get("id"))
        found = self.get(id)
        if found is None:
            raise RecordNotFound(self.table.name, id)
        return found

    def where(self, *conditions: object, **equalities: object) -> Selection[T]:
        """The records that match: `where(todos.c.text.contains("milk"), complete=False)`. Runs when iterated.

        Raises `InvalidQuery`, `UnknownColumn`, and `TypeError` for a condition that is a mere True or False.
        """
        return Selection(self.table, Query(self.table.name), self._answers).where(*conditions, **equalities)

    def order_by(self, *keys: object, descending: bool = False) -> Selection[T]:
        """All records, sorted."""
        return self.where().order_by(*keys, descending=descending)

    def all(self) -> Rows[T]:
        """All records, by id."""
        return self.where().all()

    def __iter__(self) -> Iterator[T]:
        return iter(self.all())

    def first(self) -> T | None:
        """The first record by id, None if there is none."""
        return self.where().first()

    def count(self) -> int:
        """How many records there are."""
        return self.where().count()

    def values(self, *columns: object) -> list[Any]:
        """The values of one column of all records, or tuples of several."""
        return self.where().values(*columns)

    @property
    def _answers(self) -> Answers:
        return Answers(self._fetch, self._count)

    def _fetch(self, query: Query) -> tuple[list[Record], int | None]:
        return self._context.read(
            lambda transaction: (
                list(transaction.select(query)),
                transaction.count(query) if query.total else None,
            )
        )

    def _count(self, query: Query) -> int:
        return self._context.read(lambda transaction: transaction.count(query))

    # ---- sync

    def pull(
        self,
        query: object = None,
        *,
        name: str | None = None,
        departures: Departures = "keep",
        reconcile: bool = False,
        push: Push = "context",
        resync: bool = False,
        parameters: Mapping[str, str] | None = None,
    ) -> PullReport:
        """Pull this table: see `SyncContext.pull`."""
        return self._context.pull(
            self.table, query, name=name, departures=departures, reconcile=reconcile, push=push, resync=resync,
            parameters=parameters,
        )  # fmt: skip

    def purge(self, query: object = None, *, name: str | None = None, force: bool = False) -> PurgeReport:
        """Purge this table: see `SyncContext.purge`."""
        return self._context.purge(self.table, query, name=name, force=force)
