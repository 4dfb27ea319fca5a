"""A sync table: local records that can be read and written with or without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from tidesync import steps
from tidesync.objects import Table
from tidesync.plans.pull import Departures, Push
from tidesync.plans.purge import PurgeReport
from tidesync.query import Query
from tidesync.records import Record
from tidesync.reports import PullReport
from tidesync.selection import Answers, Rows, Selection
from tidesync.watching import Watch

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
        return self._context.write(steps.insert(self.table, item))

    def insert_many(self, items: Iterable[T | dict[str, Any]]) -> list[T]:
        """Insert many objects in one transaction: all of them, or none. Raises as `insert` does."""
        return self._context.write(steps.insert_many(self.table, items))

    @overload
    def update(self, item: T | dict[str, Any], /) -> T: ...
    @overload
    def update(self, id: str, /, **changes: Any) -> T: ...
    def update(self, item: T | dict[str, Any] | str, /, **changes: Any) -> T:
        """Update by an object, or by an id and the fields to change; returns the object as it is stored.

        A dict changes the fields that it has. Fields that the class does not name survive. An object with a
        `version` older than what the remote has sent since is `StaleRecord`. Raises `RecordNotFound`, `InvalidRecord`.
        """
        return self._context.write(steps.update(self.table, item, changes))

    def upsert(self, item: T | dict[str, Any]) -> T:
        """Insert the object, or update the record that has its id; raises as `update` does."""
        return self._context.write(steps.upsert(self.table, item))

    def delete(self, item: T | dict[str, Any] | str) -> None:
        """Delete by id or object; an object with a `version` is checked as for an update. Raises `RecordNotFound`."""
        self._context.write(steps.delete(self.table, item))

    # ---- reads

    def get(self, id: str) -> T | None:
        """The record of this id, None if there is none."""
        return next(iter(self._context.read(steps.get(self.table, id))), None)

    def __contains__(self, id: object) -> bool:
        """Whether there is a record of this id."""
        return isinstance(id, str) and self.get(id) is not None

    def refresh(self, item: T) -> T:
        """The object as the local store has it now; raises `RecordNotFound` if it is gone."""
        return self._context.read(steps.refresh(self.table, item))

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

    def watch(
        self,
        query: object = None,
        callback: Callable[[Rows[T]], object] | None = None,
        *,
        poll: float | None = 1.0,
    ) -> Watch[T]:
        """Watch a query of this table, or all of it: see `SyncContext.watch`."""
        return self._context.watch(self.table, query, callback, poll=poll)

    @property
    def _answers(self) -> Answers:
        return Answers(self._fetch, self._count)

    def _fetch(self, query: Query) -> tuple[list[Record], int | None]:
        return self._context.read(steps.fetch(query))

    def _count(self, query: Query) -> int:
        return self._context.read(steps.count(query))

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
