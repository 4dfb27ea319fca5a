"""A remote table: the records at the remote, read and written directly. It fails without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    ChangeKind,
    Conflicted,
    Denied,
    Expected,
    NotSent,
    Outcome,
    PullRequest,
    Rejected,
    Undeleted,
    Unknown,
    Version,
)
from tidesync.effects import Exchange, GetRecord, PullPage, PushChanges
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteConflict,
    RemoteUnavailable,
    RequestRefused,
    Unauthorized,
)
from tidesync.objects import Table
from tidesync.predicate import matcher
from tidesync.query import Query
from tidesync.records import Json, Record, Tombstone, alive, check_id, check_record, content_of, new_id
from tidesync.reports import about
from tidesync.rules.cursors import Trail
from tidesync.selection import Answers, Rows, Selection

T = TypeVar("T")


class RemoteTable(Generic[T]):
    """The table at the remote. `parameters` go with every request, where the transport has a place for them.

    Every method raises `NotReachable`, `RemoteUnavailable` (a write may then be in effect), `Unauthorized`,
    `RequestRefused` or `ProtocolError`; writes raise `RemoteConflict` where the remote holds something else.
    """

    def __init__(
        self, perform: Callable[[Exchange[Any]], Any], table: Table[T], parameters: Mapping[str, str]
    ) -> None:
        self._perform, self.table, self._parameters = perform, table, dict(parameters)

    def __repr__(self) -> str:
        return f"<remote table {self.table.name}>"

    def insert(self, item: T | dict[str, Any]) -> T:
        """Insert and return the remote's record; `RemoteConflict` if the id is taken."""
        record = self.table.to_record(item)
        record = {**record, "id": record.get("id") or new_id()}
        return self._write("insert", check_record(self.table.name, record), record, Absent())

    def update(self, item: T | dict[str, Any]) -> T:
        """Update by an object; one that carries a version only if the remote still has that version."""
        record = self.table.to_record(item)
        id = check_record(self.table.name, record)
        return self._write("update", id, record, _expected(record.get("version")))

    def delete(self, item: T | dict[str, Any] | str) -> None:
        """Delete by id, or by an object: if it carries a version, only that version. What is gone is no error."""
        record: Record = {"id": item} if isinstance(item, str) else self.table.to_record(item)
        id = check_id(self.table.name, record.get("id"))
        _ = self._send("delete", id, None, _expected(record.get("version")))

    def undelete(self, id: str, *, version: str | None = None) -> T:
        """Bring a deleted record back as it was, and return it."""
        return self._write("undelete", check_id(self.table.name, id), None, Tombstone(version))

    def get(self, id: str) -> T | None:
        """The record as it is at the remote now, None if there is none."""
        copy = self._perform(GetRecord(self.table.name, check_id(self.table.name, id)))
        return self.table.from_record(copy) if alive(copy) else None

    def where(self, *conditions: object, **equalities: object) -> Selection[T]:
        """The records at the remote that match. Runs when iterated."""
        return Selection(self.table, Query(self.table.name), Answers(self._fetch, self._count)).where(
            *conditions, **equalities
        )

    def all(self) -> Rows[T]:
        """All records at the remote."""
        return self.where().all()

    def count(self) -> int:
        """How many records there are at the remote."""
        return self.where().count()

    # ---- the wire

    def _write(self, kind: ChangeKind, id: str, record: Record | None, expected: Expected) -> T:
        outcome = self._send(kind, id, record, expected)
        copy = outcome.copy if isinstance(outcome, Applied) else outcome.record
        if not alive(copy):
            copy = self._perform(GetRecord(self.table.name, id))
        if not alive(copy):
            raise RemoteConflict(f"{self.table.name}/{id} was deleted right after this write", copy=copy)
        return self.table.from_record(copy)

    def _send(
        self, kind: ChangeKind, id: str, record: Record | None, expected: Expected
    ) -> Applied | Undeleted:
        content = content_of(record)
        fields = tuple(field for field in content or () if field != "id")
        change = Change(
            id=new_id(), table=self.table.name, record_id=id, kind=kind, record=content, fields=fields,
            expected=expected, parameters=self._parameters,
        )  # fmt: skip
        outcome: Outcome = self._perform(PushChanges([change]))[0]
        return _effective(self.table.name, id, outcome)

    def _fetch(self, query: Query) -> tuple[list[Record], int | None]:
        records: list[Record] = []
        total: int | None = None
        cursor: Json = None
        trail = Trail(cursor)
        while True:
            request = PullRequest(
                query=query, cursor=cursor, total=query.total and cursor is None, deleted=False,
                incremental=False, fields=query.fields, parameters=self._parameters,
            )  # fmt: skip
            page = self._perform(PullPage(request))
            matches = matcher(None if page.exact else query.where)
            records.extend(record for record in page.records if matches(record))
            # A later page may count only what it has not told yet.
            total = page.total if total is None else total
            if not page.more:
                return records, total
            if trail.returns(page.cursor):
                raise ProtocolError(f"the remote announces more of {query.table} and does not move")
            cursor = page.cursor

    def _count(self, query: Query) -> int:
        records, total = self._fetch(
            attrs.evolve(query, order=(), skip=0, take=None, fields=("id",), total=True)
        )
        return len(records) if total is None else total


def _expected(version: Json) -> Expected:
    return Version(version) if isinstance(version, str) else Anything()


def _effective(table: str, id: str, outcome: Outcome) -> Applied | Undeleted:
    what = f"{table}/{id}"
    match outcome:
        case Applied() | Undeleted():
            return outcome
        case Conflicted(copy):
            raise RemoteConflict(
                f"{what} is not at the remote as expected: look at .copy, and decide", copy=copy
            )
        case Rejected(code, message):
            raise RequestRefused(about(table, id, message), code=code)
        case Unknown(reason):
            raise RemoteUnavailable(
                f"{about(table, id, reason)}; the write may be in effect: read it before writing again"
            )
        case NotSent(reason, retry_after):
            raise NotReachable(about(table, id, reason), retry_after=retry_after)
        case Denied(reason):
            raise Unauthorized(about(table, id, reason))
        case _:
            raise RemoteUnavailable(f"{what} was not tried")
