"""A sound remote of rows in memory that is followed by timestamps, step by step; a mutant gets one step wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import attrs

from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Version,
)
from tidesync.errors import RequestRefused, ResyncRequired
from tidesync.predicate import matcher, ordered, project
from tidesync.records import Copy, Json, Record, Tombstone, alive, version_of
from tidesync.schema import TableSchema

TICK = 0.02
"""Seconds that one timestamp lasts."""

Key = tuple[float, str]


@attrs.define(kw_only=True)
class Row:
    """A record as it is kept; `number` counts the writes of its table, `at` is when it was written."""

    id: str
    number: int
    at: float
    content: Record
    dead: bool = False


@attrs.frozen
class Place:
    """Where a follower stands: behind this key. `began`: when the pull did that brought it there."""

    key: Key
    began: float | None = None
    ended: bool = False


class Client:
    """A client of the remote; it keeps nothing."""

    def __init__(self, remote: Remote, capabilities: TransportCapabilities) -> None:
        self.remote, self.capabilities = remote, capabilities

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return attrs.evolve(self.capabilities, identity="rows")

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return self.remote.push(changes)

    def pull(self, request: PullRequest, /) -> Page:
        return self.remote.pull(request)

    def get(self, table: str, id: str, /) -> Copy:
        return self.remote.get(table, id)

    def close(self) -> None:
        pass


class Remote:
    """The remote: writes happen one after another, and each has a timestamp."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.instant = 0.0
        self.tables: dict[str, dict[str, Row]] = {}

    def client(self, capabilities: TransportCapabilities) -> Client:
        return Client(self, capabilities)

    def table(self, name: str) -> dict[str, Row]:
        if name not in ("thing", "note"):
            raise RequestRefused(f"there is no table {name}", code="404")
        return self.tables.setdefault(name, {})

    def now(self) -> float:
        return time.time() // TICK * TICK

    # ---- rows

    def version(self, row: Row) -> str:
        return str(row.number)

    def copy(self, row: Row | None) -> Copy:
        if row is None:
            return None
        if row.dead:
            return Tombstone(self.version(row))
        return {**deepcopy(row.content), "id": row.id, "version": self.version(row)}

    def get(self, table: str, id: str) -> Copy:
        with self.lock:
            return self.copy(self.table(table).get(id))

    # ---- writing

    def push(self, changes: Sequence[Change]) -> list[Outcome]:
        with self.lock:
            self.instant = self.begun()
            return [self.write(change) for change in changes]

    def begun(self) -> float:
        """The timestamp of a push that begins now."""
        return self.now()

    def write(self, change: Change) -> Outcome:
        rows = self.table(change.table)
        row = rows.get(change.record_id)
        held = self.copy(row)
        if change.kind == "delete" and not alive(held):
            return Applied(version_of(held), held or Tombstone(None))
        if alive(held) != (change.kind in ("update", "delete")) or not self.expects(change, held):
            return Conflicted(held)
        if change.kind == "undelete":
            fields: dict[str, Any] = row.content if row else {}
        else:
            fields = self.content(change, row)
        number = 1 + max((each.number for each in rows.values()), default=0)
        new = Row(
            id=change.record_id,
            number=number,
            at=self.stamp(row),
            content=fields,
            dead=change.kind == "delete",
        )
        rows[change.record_id] = new
        return Applied(self.version(new), self.copy(new))

    def stamp(self, row: Row | None) -> float:
        """The timestamp of a row that is written now."""
        return self.instant

    def expects(self, change: Change, held: Copy) -> bool:
        match change.expected:
            case Anything():
                return True
            case Absent():
                return held is None
            case Version(version):
                return alive(held) and version_of(held) == version
            case Tombstone(version):
                return isinstance(held, Tombstone) and version in (None, held.version)

    def content(self, change: Change, row: Row | None) -> Record:
        record = deepcopy(change.record or {})
        if change.kind == "insert":
            return {name: value for name, value in record.items() if name != "id"}
        kept = row.content if row else {}
        if change.kind == "delete":
            return kept
        named = {name: record[name] for name in change.fields if name in record}
        return {name: value for name, value in kept.items() if name not in change.fields} | named

    # ---- reading

    def pull(self, request: PullRequest) -> Page:
        with self.lock:
            rows = list(self.table(request.query.table).values())
            page = self.news(request, rows) if request.incremental and request.ids is None else None
            if page is None:
                page = self.listing(request, rows)
            moment = datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            return attrs.evolve(page, clock=moment)

    def listing(self, request: PullRequest, rows: list[Row]) -> Page:
        """What matches now, a page of it."""
        query, asked = request.query, request.ids
        matches = matcher(query.where)
        records = [copy for copy in map(self.copy, rows) if alive(copy) and matches(copy)]
        records = [each for each in records if asked is None or each["id"] in asked]
        total = len(records)
        done = self.offset(request)
        # An id is the last key of every order; a list without one is paged by the last id.
        if query.order or query.skip or query.take is not None:
            listed = ordered(records, query.order)[query.skip :]
            rest = (listed if query.take is None else listed[: query.take])[int(done or 0) :]
            end: Json = int(done or 0) + request.limit
        else:
            listed = sorted(records, key=lambda each: str(each["id"]))
            rest = [each for each in listed if str(each["id"]) > str(done or "")]
            end = rest[: request.limit][-1]["id"] if rest else done
        fields = None if request.fields is None else (*request.fields, "version")
        return Page(
            records=[project(each, fields) for each in rest[: request.limit]],
            cursor={"listed": end},
            more=len(rest) > request.limit,
            total=total if request.total or query.total else None,
        )

    def offset(self, request: PullRequest) -> int | str | None:
        match request.cursor:
            case None:
                return None
            case {"listed": int() | str() as done}:
                return done
            case _:
                raise ResyncRequired("that is no cursor of a list")

    def news(self, request: PullRequest, rows: list[Row]) -> Page:
        """What was written behind the cursor, a page of it."""
        place = self.rewound(request, self.place(request))
        began = self.now() if place.began is None or place.ended else place.began
        behind = sorted((row for row in rows if self.is_news(row, place)), key=self.key)
        part = self.cut(behind, request.limit)
        more = len(behind) > len(part)
        matches = matcher(request.query.where)
        records: list[Record] = []
        tombstones: dict[str, Tombstone] = {}
        departed: list[str] = []
        for row in part:
            copy = self.copy(row)
            if isinstance(copy, Tombstone):
                tombstones[row.id] = copy
            elif alive(copy) and matches(copy):
                records.append(
                    project(copy, None if request.fields is None else (*request.fields, "version"))
                )
            elif copy is not None:
                departed.append(row.id)
        key = self.key(part[-1]) if part else place.key
        page = Page(
            records=records,
            tombstones=tombstones if request.deleted else {},
            departed=departed if request.departures else (),
            more=more,
            total=len(behind) if request.total else None,
        )
        return self.told(request, page, Place(key, began, ended=not more))

    def told(self, request: PullRequest, page: Page, place: Place) -> Page:
        """The page, with the cursor of the place where it ends."""
        return attrs.evolve(page, cursor=self.cursor(request.query.table, place))

    def key(self, row: Row) -> Key:
        """What rows are read in the order of."""
        return row.at, row.id

    def is_news(self, row: Row, place: Place) -> bool:
        return self.key(row) > place.key

    def cut(self, rows: list[Row], limit: int) -> list[Row]:
        """As many rows as a page has."""
        return rows[:limit]

    def rewound(self, request: PullRequest, place: Place) -> Place:
        """The place, as many seconds before the pull began that led there as the overlap says."""
        if request.overlap <= 0 or place.began is None:
            return place
        return attrs.evolve(place, key=(min(place.key[0], place.began) - request.overlap, ""))

    # ---- cursors

    def cursor(self, table: str, place: Place) -> Json:
        at, id = place.key
        return {"table": table, "at": at, "id": id, "began": place.began, "ended": place.ended}

    def place(self, request: PullRequest) -> Place:
        """Where the cursor of a request is."""
        match request.cursor:
            case None:
                return Place((0.0, ""))
            case {
                "table": table,
                "at": float(at),
                "id": str(id),
                "began": float(began),
                "ended": bool(ended),
            }:
                self.check_table(request, table)
                return Place((at, id), began, ended)
            case _:
                raise ResyncRequired("that is no cursor")

    def check_table(self, request: PullRequest, table: Json) -> None:
        if table != request.query.table:
            raise ResyncRequired("the cursor is of another table")
