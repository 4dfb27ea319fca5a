"""A remote table: the records at the remote, read and written directly. It fails without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from tidesync.contracts.transport import Absent, ChangeKind, Expected
from tidesync.effects import Plan
from tidesync.objects import Table
from tidesync.plans import online
from tidesync.plans.online import Wish, expected_of
from tidesync.query import Query
from tidesync.records import Record, Tombstone, alive, check_id, check_record, new_id
from tidesync.selection import Answers, Rows, Selection

T = TypeVar("T")
U = TypeVar("U")


class Driven(Protocol):
    """What runs a plan against the remote, once it is known who that is."""

    def __call__(self, plan: Callable[[], Plan[U]], /) -> U:
        """Run the plan, and return its result."""
        ...


class Wishes(Generic[T]):
    """The writes of one remote table, checked; what both faces of it are made of."""

    def __init__(self, table: Table[T], parameters: Mapping[str, str]) -> None:
        self.table, self.parameters = table, dict(parameters)

    def insert(self, item: T | dict[str, Any]) -> Wish:
        """The insert of an object; an empty or missing id is generated."""
        record = self.table.to_record(item)
        record = {**record, "id": record.get("id") or new_id()}
        return self._wish("insert", check_record(self.table.name, record), record, Absent())

    def update(self, item: T | dict[str, Any]) -> Wish:
        """The update by an object."""
        record = self.table.to_record(item)
        id = check_record(self.table.name, record)
        return self._wish("update", id, record, expected_of(record.get("version")))

    def delete(self, item: T | dict[str, Any] | str) -> Wish:
        """The delete by an id or an object."""
        record: Record = {"id": item} if isinstance(item, str) else self.table.to_record(item)
        id = check_id(self.table.name, record.get("id"))
        return self._wish("delete", id, None, expected_of(record.get("version")))

    def undelete(self, id: str, version: str | None) -> Wish:
        """The return of what was deleted."""
        return self._wish("undelete", check_id(self.table.name, id), None, Tombstone(version))

    def _wish(self, kind: ChangeKind, id: str, record: Record | None, expected: Expected) -> Wish:
        return Wish(
            operation=new_id(), table=self.table.name, id=id, kind=kind, record=record, expected=expected,
            parameters=self.parameters,
        )  # fmt: skip


class RemoteTable(Generic[T]):
    """The table at the remote. `parameters` go with every request, where the transport has a place for them.

    Every method raises `NotReachable`, `RemoteUnavailable` (a write may then be in effect), `Unauthorized`,
    `RequestRefused` or `ProtocolError`; writes raise `RemoteConflict` where the remote holds something else.
    """

    def __init__(self, run: Driven, table: Table[T], parameters: Mapping[str, str]) -> None:
        self._run, self.table, self._wishes = run, table, Wishes(table, parameters)

    def __repr__(self) -> str:
        return f"<remote table {self.table.name}>"

    def insert(self, item: T | dict[str, Any]) -> T:
        """Insert and return the remote's record; `RemoteConflict` if the id is taken."""
        return self._write(self._wishes.insert(item))

    def update(self, item: T | dict[str, Any]) -> T:
        """Update by an object; one that carries a version only if the remote still has that version."""
        return self._write(self._wishes.update(item))

    def delete(self, item: T | dict[str, Any] | str) -> None:
        """Delete by id, or by an object: if it carries a version, only that version. What is gone is no error."""
        wish = self._wishes.delete(item)
        _ = self._run(lambda: online.send(wish))

    def undelete(self, id: str, *, version: str | None = None) -> T:
        """Bring a deleted record back as it was, and return it."""
        return self._write(self._wishes.undelete(id, version))

    def get(self, id: str) -> T | None:
        """The record as it is at the remote now, None if there is none."""
        wanted = check_id(self.table.name, id)
        copy = self._run(lambda: online.read(self.table.name, wanted))
        return self.table.from_record(copy) if alive(copy) else None

    def where(self, *conditions: object, **equalities: object) -> Selection[T]:
        """The records at the remote that match. Runs when iterated."""
        parameters = self._wishes.parameters
        answers = Answers(
            lambda query: self._run(lambda: online.fetch(query, parameters)),
            lambda query: self._run(lambda: online.count(query, parameters)),
        )
        return Selection(self.table, Query(self.table.name), answers).where(*conditions, **equalities)

    def all(self) -> Rows[T]:
        """All records at the remote."""
        return self.where().all()

    def count(self) -> int:
        """How many records there are at the remote."""
        return self.where().count()

    def _write(self, wish: Wish) -> T:
        return self.table.from_record(self._run(lambda: online.write(wish)))
