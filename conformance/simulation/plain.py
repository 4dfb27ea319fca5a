"""A plain REST remote that knows no operation ids, and the transport to it, one request at a time.

It answers as the server in tests/peers does: If-Match versions, 412 with the row, a 409 whose body is useless, 404,
undelete as a request of its own, timestamps that tie, and commits that become visible later than their timestamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeAlias, TypedDict, cast

import attrs

from tidesync.conformance.simulation.calls import Call, Key, Lost, Sending, Watch, in_doubt, read
from tidesync.conformance.simulation.tapes import Draw
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    CursorGuarantee,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
    Undeleted,
    Unknown,
    Untried,
    Version,
)
from tidesync.predicate import matcher
from tidesync.records import Copy, Record, Tombstone
from tidesync.schema import TableSchema

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BLIND = "undelete of what has no known version"
Answer: TypeAlias = tuple[int, Record]
"""Status and body, empty where there is none."""


@cache
def moment(tick: int) -> str:
    """A tick of the remote's clock, one second long, as canonical text."""
    return (_BEGIN + timedelta(seconds=tick)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Cursor(TypedDict):
    """Where a page ended, and the clock when its pull began."""

    tick: int
    id: str
    began: int


class Row:
    """One record of the remote, live or deleted, and when it says that it changed."""

    __slots__ = ("content", "deleted", "tick", "version")

    def __init__(self, content: Record, deleted: bool, version: int, tick: int) -> None:
        self.content, self.deleted, self.version, self.tick = content, deleted, version, tick

    @property
    def etag(self) -> str:
        """The version as it travels."""
        return f"v{self.version}"

    def shown(self) -> Record:
        """The row as replies show it."""
        body = {**self.content, "version": self.etag, "updated_at": moment(self.tick)}
        return {**body, "deleted": True} if self.deleted else body


class PlainRemote:
    """The server: rows, and what one request does to them."""

    def __init__(
        self, tables: Sequence[TableSchema], *, foreign_keys: bool, lag: int, graves: bool, watch: Watch
    ) -> None:
        self.tables = {table.name: table for table in tables}
        self.graves = graves
        self.rows: dict[Key, Row] = {}
        self.foreign_keys, self.lag, self.watch = foreign_keys, lag, watch
        self.version, self.clock = 0, 100

    def alive(self) -> dict[Key, Record]:
        """What there is."""
        return {key: row.shown() for key, row in self.rows.items() if not row.deleted}

    def known(self) -> set[Key]:
        """What there is, or was."""
        return set(self.rows)

    def put(self, key: Key, content: Record, deleted: bool, draw: Draw) -> Row:
        """Commit: the timestamp may be that of some moments ago."""
        self.version += 1
        self.clock += draw.below(3) == 0
        row = self.rows[key] = Row(content, deleted, self.version, self.clock - draw.below(self.lag))
        return row

    def plant(self, change: Change, draw: Draw) -> None:
        """A record is there before anything begins."""
        _ = self.put((change.table, change.record_id), dict(change.record or {}), False, draw)

    def tick(self) -> None:
        """A second passes, whoever writes."""
        self.clock += 1

    # ---- requests

    def get(self, key: Key) -> Answer:
        """GET: a deleted row is as good as none."""
        row = self.rows.get(key)
        return (404, {}) if row is None or row.deleted else (200, row.shown())

    def post(self, key: Key, body: Record, change: Change, draw: Draw) -> Answer:
        """POST: 409 if the id was ever used; its body is what was sent."""
        if key in self.rows:
            return 409, dict(body)
        refused = self.refused(key, body)
        if refused is not None:
            return 400, {"error": refused}
        return self.took(self.put(key, dict(body), False, draw), change)

    def patch(self, key: Key, body: Record, etag: str | None, change: Change, draw: Draw) -> Answer:
        """PATCH of some fields, if the version is still that."""
        row = self.rows.get(key)
        if row is None or row.deleted:
            return 404, {}
        if etag is not None and etag != row.etag:
            return 412, row.shown()
        refused = self.refused(key, body)
        if refused is not None:
            return 400, {"error": refused}
        return self.took(self.put(key, {**row.content, **body}, False, draw), change)

    def delete(self, key: Key, etag: str | None, change: Change, draw: Draw) -> Answer:
        """DELETE: the row stays, marked."""
        row = self.rows.get(key)
        if row is None or row.deleted:
            return 404, {}
        if etag is not None and etag != row.etag:
            return 412, row.shown()
        if self.foreign_keys and self.is_named(key):
            self.watch.foreign_key(change)
            return 400, {"error": "foreign_key"}
        gone = self.put(key, row.content, True, draw)
        if not self.graves:
            del self.rows[key]
        return self.took(gone, change)

    def undelete(self, key: Key, etag: str | None, draw: Draw) -> Answer:
        """POST to a row: it is back as it was. A live row only gets a new version, as the real server does."""
        row = self.rows.get(key)
        if row is None:
            return 404, {}
        if etag is not None and etag != row.etag:
            return 412, row.shown()
        return 201, self.put(key, row.content, False, draw).shown()

    def took(self, row: Row, change: Change) -> Answer:
        """The request had its effect."""
        self.watch.took(change)
        return 200, row.shown()

    def refused(self, key: Key, body: Record) -> str | None:
        """Why this content is not taken."""
        if any(value == "BAD" for value in body.values()):
            return "bad"
        if self.foreign_keys:
            for field, target in (self.tables[key[0]].references or {}).items():
                named = body.get(field)
                found = self.rows.get((target, named)) if isinstance(named, str) else None
                if named is not None and (target, named) != key and (found is None or found.deleted):
                    self.watch.foreign_key(key)
                    return "foreign_key"
        return None

    def is_named(self, key: Key) -> bool:
        """Whether a live row names this one."""
        return any(
            not row.deleted and row.content.get(field) == key[1] and (table, id) != key
            for (table, id), row in self.rows.items()
            for field, target in (self.tables[table].references or {}).items()
            if target == key[0]
        )

    def changed(
        self, table: str, after: tuple[int, str], limit: int
    ) -> tuple[list[tuple[int, str, Record]], bool, int]:
        """GET of a table in the order of timestamp and id, deleted rows too; and the clock."""
        found = sorted(
            (row.tick, id, row.shown())
            for (name, id), row in self.rows.items()
            if name == table and (row.tick, id) > after
        )
        return found[:limit], len(found) > limit, self.clock

    def walk(self, table: str, after: str, ids: Sequence[str] | None) -> list[Record]:
        """GET of a table in the order of ids, live rows only."""
        rows = [
            (id, row)
            for (name, id), row in self.rows.items()
            if name == table and id > after and not row.deleted
        ]
        return [row.shown() for id, row in sorted(rows, key=lambda each: each[0]) if ids is None or id in ids]


@attrs.frozen
class PlainLink:
    """The transport: outcomes from requests. Each `Call` that it yields is one request on the wire."""

    remote: PlainRemote
    batch: int

    def open(self) -> Sending[TransportCapabilities]:
        """Who it is."""
        _ = read((yield from Call("hello", lambda draw: None)))
        return TransportCapabilities(
            identity="plain", cursor=CursorGuarantee.KEYSET, max_changes=self.batch,
            tombstones=frozenset(self.remote.tables if self.remote.graves else ()), overlap=float(self.remote.lag),
        )  # fmt: skip

    def push(self, changes: Sequence[Change]) -> Sending[list[Outcome]]:
        """One change after another; what is behind one that stopped is not tried."""
        outcomes: list[Outcome] = []
        for change in changes:
            outcomes.append((yield from self.send(change)))
            if isinstance(outcomes[-1], Unknown | NotSent | Denied):
                break
        return outcomes + [Untried()] * (len(changes) - len(outcomes))

    def send(self, change: Change) -> Sending[Outcome]:
        """One change: one request, or two."""
        key = (change.table, change.record_id)
        etag = change.expected.version if isinstance(change.expected, Version | Tombstone) else None
        body = {field: (change.record or {}).get(field) for field in change.fields}
        if change.kind == "insert" and isinstance(change.expected, Tombstone):
            return (yield from self.revive(key, etag))
        return (yield from self.meaning(change, key, (yield from self.call_of(change, key, body, etag))))

    def call_of(self, change: Change, key: Key, body: Record, etag: str | None) -> Call[Answer]:
        """The request of a change."""
        remote, name = self.remote, f"{change.kind} {change.record_id}"
        if change.kind == "insert" and etag is None:
            return Call(
                name, lambda draw: remote.post(key, dict(change.record or {}), change, draw), writes=True
            )
        if change.kind == "delete":
            return Call(name, lambda draw: remote.delete(key, etag, change, draw), writes=True)
        return Call(name, lambda draw: remote.patch(key, body, etag, change, draw), writes=True)

    def meaning(self, change: Change, key: Key, reply: Answer | Lost) -> Sending[Outcome]:
        """What came of the request; a refusal without a usable body is looked into."""
        if isinstance(reply, Lost):
            return in_doubt(reply)
        status, row = reply
        if status == 200:
            return Applied(str(row["version"]), copy_of(row))
        if status == 400:
            return Rejected(str(row["error"]), "refused")
        if status == 412:
            return Conflicted(copy_of(row))
        if status == 404 and change.kind == "delete":
            return Applied(None, Tombstone(None))
        found = yield from self.fetch(key)
        if isinstance(found, Unknown):
            return found
        if status == 404 and isinstance(found, dict):
            return Unknown("404 for an update of what a read still shows")
        return Conflicted(Tombstone(None) if found is None else found)

    def fetch(self, key: Key) -> Sending[Copy | Unknown]:
        """What is there now."""
        reply = yield from Call(f"get {key[1]}", lambda draw: self.remote.get(key))
        if isinstance(reply, Lost):
            return Unknown("refused, and what is there could not be read")
        return copy_of(reply[1]) if reply[0] == 200 else None

    def revive(self, key: Key, etag: str | None) -> Sending[Outcome]:
        """Undelete, and nothing else. Without a version one looks first, since a live row would be taken too."""
        if etag is None:
            reply = yield from Call(f"get {key[1]}", lambda draw: self.remote.get(key))
            if isinstance(reply, Lost):
                return in_doubt(reply)
            if reply[0] == 200:
                return Conflicted(copy_of(reply[1]))
        reply = yield from Call(
            BLIND if etag is None else f"undelete {key[1]}",
            lambda draw: self.remote.undelete(key, etag, draw),
            writes=True,
        )
        if isinstance(reply, Lost):
            return in_doubt(reply)
        status, row = reply
        if status == 201:
            return Undeleted(row)
        if status == 412:
            return Conflicted(copy_of(row))
        found = yield from self.fetch(key)
        return found if isinstance(found, Unknown) else Conflicted(found)

    def pull(self, request: PullRequest) -> Sending[Page]:
        """One page along the timestamps; the cursor keeps the clock of when the pull began."""
        cursor = cast("Cursor | None", request.cursor)  # as made below
        if not request.incremental:
            return (yield from self.walk(request))
        if cursor is None:
            after = (-1, "")
        elif request.overlap:
            after = (self.rewound(cursor, int(request.overlap)), "")
        else:
            after = (cursor["tick"], cursor["id"])
        table = request.query.table
        call = Call(f"list {table}", lambda draw: self.remote.changed(table, after, request.limit))
        rows, more, clock = read((yield from call))
        began = clock if cursor is None or request.overlap > 0 else cursor["began"]
        tick, id = rows[-1][:2] if rows else after
        copies = {id: copy_of(row) for _, id, row in rows}
        matches = matcher(request.query.where)
        return Page(
            records=[copy for copy in copies.values() if isinstance(copy, dict) and matches(copy)],
            tombstones={id: copy for id, copy in copies.items() if isinstance(copy, Tombstone)},
            cursor={"tick": tick, "id": id, "began": began}, more=more, clock=moment(clock),
        )  # fmt: skip

    def walk(self, request: PullRequest) -> Sending[Page]:
        """One page of everything that is alive, or of some ids, by id."""
        cursor = str(request.cursor or "")
        call = Call(
            f"walk {request.query.table}",
            lambda draw: self.remote.walk(request.query.table, cursor, request.ids),
        )
        rows = read((yield from call))
        found = rows[: request.limit]
        return Page(
            records=[row for row in found if matcher(request.query.where)(row)],
            cursor=found[-1]["id"] if found else cursor, more=len(rows) > request.limit,
        )  # fmt: skip

    def rewound(self, cursor: Cursor, overlap: int) -> int:
        """Where the next pull begins: counted back from when the last one began, not from its last row."""
        return min(cursor["tick"], cursor["began"]) - overlap


def copy_of(row: Record | None) -> Copy:
    """A row of a reply as the engine sees it."""
    if row is None:
        return None
    if row.get("deleted"):
        return Tombstone(str(row["version"]))
    return row
