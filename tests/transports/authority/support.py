"""Two tables, a clock that is set by hand, and short ways to say a change."""

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs

from tidesync.contracts.store import Store
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    ChangeKind,
    Expected,
    Outcome,
    Page,
    PullRequest,
)
from tidesync.query import Query
from tidesync.records import Json, Record, alive
from tidesync.schema import Column, TableSchema
from tidesync.transports.authority import Authority
from tidesync.values import ColumnType

LISTS = TableSchema("list", (Column("name", ColumnType.STRING),), {})
ITEMS = TableSchema(
    "item",
    (
        Column("text", ColumnType.STRING),
        Column("size", ColumnType.INTEGER),
        Column("list_id", ColumnType.STRING),
        Column("parent", ColumnType.STRING),
    ),
    {"list_id": "list", "parent": "item"},
)
MakeAuthority: TypeAlias = Callable[..., Authority]

_ids = itertools.count(1)


class Time:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def authority_on(store: Store, time: Time, **options: Any) -> Authority:
    settings = {"identity": "remote", "clock": time, **options}
    return Authority(store, [LISTS, ITEMS], **settings).open()


def change(
    kind: ChangeKind,
    id: str,
    expected: Expected | None = None,
    *,
    table: str = "item",
    operation: str | None = None,
    fields: tuple[str, ...] | None = None,
    **content: Json,
) -> Change:
    """A change of its own operation id (in any process), unconditional unless something is expected."""
    record: Record | None = {"id": id, **content} if kind in ("insert", "update") else None
    return Change(
        id=operation or f"op{os.getpid()}-{next(_ids)}",
        table=table,
        record_id=id,
        kind=kind,
        record=record,
        fields=tuple(content) if fields is None else fields,
        expected=Anything() if expected is None else expected,
    )


def insert(id: str, **content: Json) -> Change:
    return change("insert", id, Absent(), **content)


def update(id: str, **content: Json) -> Change:
    return change("update", id, **content)


def delete(id: str) -> Change:
    return change("delete", id)


def applied(authority: Authority, *changes: Change) -> list[Applied]:
    """Push what must be applied."""
    outcomes = authority.push(changes)
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Applied)]
    assert [] == refused
    return [outcome for outcome in outcomes if isinstance(outcome, Applied)]


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def pull(authority: Authority, cursor: Json = None, **request: Any) -> Page:
    query = request.pop("query", Query("item"))
    return authority.pull(PullRequest(query=query, cursor=cursor, **request))


def ids(page: Page) -> list[str]:
    return [str(record["id"]) for record in page.records]


@attrs.define
class Follower:
    """What someone holds who stores every page that it is given."""

    authority: Authority
    query: Query = attrs.field(factory=lambda: Query("item"))
    departures: bool = False
    limit: int = 1000
    held: dict[str, Record] = attrs.field(factory=dict[str, Record])
    cursor: Json = None

    def step(self) -> bool:
        """Store one page; True if there are more."""
        page = pull(
            self.authority, self.cursor, query=self.query, limit=self.limit, departures=self.departures
        )
        for record in page.records:
            self.held[str(record["id"])] = record
        for id in (*page.tombstones, *page.departed):
            _ = self.held.pop(id, None)
        self.cursor = page.cursor
        return page.more

    def catch_up(self) -> dict[str, Record]:
        while self.step():
            pass
        return self.held


def held(authority: Authority, id: str, table: str = "item") -> Record:
    copy = authority.get(table, id)
    assert alive(copy)
    return copy


def live(authority: Authority, table: str = "item") -> dict[str, Record]:
    return {str(record["id"]): record for record in authority.records(table)}
