"""What an authority answers to a pull: the read half of `authority.py`.

A page of news is one range of `_sequence`, read by one select.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Page, PullRequest
from tidesync.errors import ResyncRequired
from tidesync.predicate import matcher, project
from tidesync.query import And, Compare, Expr, Field, Or, Order, Query, Value, all_of
from tidesync.records import Json, Record, Tombstone, alive
from tidesync.transports.layout import DEAD, DELETED, LIVE, SEQUENCE, Meta, copy_of
from tidesync.values import ColumnType

_SEQUENCE = Field(SEQUENCE, ColumnType.INTEGER)


@attrs.frozen
class Position:
    """Where a follower stands: it has all that was committed up to `sequence` and matched.

    `since` is set during its first pull, and is the last number when that began: what was deleted before then
    it does not hold.
    """

    sequence: int
    since: int | None = None


class Answer:
    """One request, answered inside one read transaction; `limit` counts rows."""

    def __init__(self, transaction: StoreTransaction, meta: Meta, request: PullRequest, limit: int) -> None:
        self.transaction, self.meta, self.request, self.limit = transaction, meta, request, limit
        self.table = request.query.table
        self.where = request.query.where
        fields = request.query.fields if request.fields is None else request.fields
        self.fields = None if fields is None else (*fields, "version")
        self.read = None if self.fields is None else (*self.fields, SEQUENCE, DELETED)

    def page(self) -> Page:
        """The page, without the remote's clock."""
        query = self.request.query
        if self.request.ids is not None:
            return self.lookup(self.request.ids)
        if query.order or query.skip or query.take is not None:
            return self.listing()
        return self.changes()

    def changes(self) -> Page:
        """What was committed after the cursor, in the order of commits, up to `limit` rows."""
        position = self.position()
        after = _above(position.sequence)
        where = And((after, self.wanted(position)))
        # Whether a record departed is decided here, on all of it.
        fields = None if self.request.departures else self.read
        select = Query(self.table, where, (Order(_SEQUENCE),), take=self.limit + 1, fields=fields)
        rows = list(self.transaction.select(select))
        more = len(rows) > self.limit
        rows = rows[: self.limit]
        found, tombstones, departed = self.sorted_out(rows, matcher(self.where))
        # At the end the follower has everything there is, also where the last commits were not for it.
        last = _integer(rows[-1][SEQUENCE]) if more else self.meta.sequence
        since = {"since": position.since} if more and position.since is not None else {}
        return Page(
            records=found,
            tombstones=tombstones,
            departed=departed,
            cursor=self.cursor(sequence=last, **since),
            more=more,
            total=self.total(after),
        )

    def wanted(self, position: Position) -> Expr:
        """The rows to tell, of those after the position: what matches, what died, what may have departed."""
        # During a first pull, only what changed since it began can have been told before and be gone now.
        lately = None if position.since is None else _above(position.since)
        items: list[Expr] = [all_of(LIVE, self.where) or LIVE]
        if self.request.deleted:
            items.append(DEAD)
        elif lately is not None:
            items.append(And((DEAD, lately)))
        if self.request.departures and self.where is not None:
            items.append(all_of(LIVE, lately) or LIVE)
        return Or(tuple(items))

    def sorted_out(
        self, rows: Iterable[Record], matches: Callable[[Record], bool]
    ) -> tuple[list[Record], dict[str, Tombstone], list[str]]:
        """Rows as records, tombstones and departed ids."""
        records: list[Record] = []
        tombstones: dict[str, Tombstone] = {}
        departed: list[str] = []
        departures = self.request.departures
        for row in rows:
            copy = copy_of(row)
            if isinstance(copy, Tombstone):
                tombstones[str(row["id"])] = copy
            elif departures and not matches(row):
                departed.append(str(row["id"]))
            elif alive(copy):
                records.append(project(copy, self.fields))
        return records, tombstones, departed

    def listing(self) -> Page:
        """A part of what matches now, in the order that the query asks for."""
        query = self.request.query
        offset = self.offset()
        take = self.limit if query.take is None else max(0, min(self.limit, query.take - offset))
        live = all_of(LIVE, self.where)
        select = attrs.evolve(query, where=live, skip=query.skip + offset, take=take + 1, fields=self.read)
        rows = list(self.transaction.select(select))
        more = len(rows) > take and (query.take is None or offset + take < query.take)
        records, _, _ = self.sorted_out(rows[:take], matcher(None))
        cursor = self.cursor(offset=offset + take) if more else None
        return Page(records=records, cursor=cursor, more=more, total=self.total())

    def lookup(self, ids: tuple[str, ...]) -> Page:
        """What is held under these ids: live ones that match, tombstones; what is not there is not told."""
        offset = self.offset()
        end = offset + self.limit
        asked = tuple(dict.fromkeys(ids))
        rows = [row for row in self.transaction.get(self.table, asked[offset:end]) if row is not None]
        matches = matcher(self.where)
        if not self.request.departures:
            rows = [row for row in rows if row[DELETED] or matches(row)]
        records, tombstones, departed = self.sorted_out(rows, matches)
        more = end < len(asked)
        return Page(
            records=records,
            tombstones=tombstones if self.request.deleted else {},
            departed=departed,
            cursor=self.cursor(offset=end) if more else None,
            more=more,
            total=len(asked) if self.request.total else None,
        )

    def total(self, after: Expr | None = None) -> int | None:
        """How many records match, if that was asked."""
        if not (self.request.total or self.request.query.total):
            return None
        return self.transaction.count(Query(self.table, all_of(after, LIVE, self.where)))

    # ---- cursors

    def cursor(self, **numbers: int) -> Json:
        """A cursor of this authority and table."""
        return {"identity": self.meta.identity, "table": self.table, **numbers}

    def numbers(self) -> dict[str, Json]:
        """What the request's cursor holds, if it is one of this authority and table; empty without one."""
        cursor = self.request.cursor
        if cursor is None:
            return {}
        if not isinstance(cursor, dict) or not {"identity", "table"} <= cursor.keys():
            raise ResyncRequired("the cursor is malformed: start again")
        if cursor["identity"] != self.meta.identity:
            raise ResyncRequired(f"the cursor is of another remote than {self.meta.identity!r}: start again")
        if cursor["table"] != self.table:
            raise ResyncRequired(f"the cursor is of another table than {self.table!r}: start again")
        return cursor

    def position(self) -> Position:
        """Where the follower stands; `ResyncRequired` if what it missed cannot be told any more."""
        numbers, last = self.numbers(), self.meta.sequence
        if not numbers:
            return Position(0, last)
        position = Position(self.number("sequence"), self.number("since") if "since" in numbers else None)
        if max(position.sequence, position.since or 0) > last:
            raise ResyncRequired("the cursor is from the future: the remote has lost commits; start again")
        if max(position.sequence, position.since or 0) < self.meta.fences.get(self.table, 0):
            raise ResyncRequired("the cursor is too old: deletes since then have been forgotten; start again")
        return position

    def offset(self) -> int:
        """How many of a listing or lookup were told already."""
        return self.number("offset") if self.numbers() else 0

    def number(self, name: str) -> int:
        """One number of the request's cursor."""
        value = self.numbers().get(name)
        if type(value) is not int or value < 0:
            raise ResyncRequired(f"the cursor is malformed: its {name} is not a position; start again")
        return value


def _above(sequence: int) -> Expr:
    return Compare("gt", _SEQUENCE, Value(sequence, ColumnType.INTEGER))


def _integer(value: Json) -> int:
    assert isinstance(value, int)
    return value
