"""What an authority answers to a pull: the read half of `authority.py`.

A page of news is one range of `_sequence`, read by one select.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Page, PullRequest
from tidesync.errors import ResyncRequired
from tidesync.predicate import matcher, project
from tidesync.query import And, Compare, Expr, Field, Not, Or, Order, Query, Value, all_of
from tidesync.records import Json, Record, Tombstone, alive
from tidesync.transports.layout import DEAD, DELETED, LIVE, SEQUENCE, Meta, copy_of, has_commit
from tidesync.transports.trails import seen_since
from tidesync.transports.views import ALL, View
from tidesync.values import ColumnType

HIDDEN_LIMIT = 10_000
"""How many changed rows that are not for the follower are looked at for one page."""
WEIGHT = 1 << 21
"""Characters of text, roughly, at which a page ends: a follower has to receive it whole, within one timeout."""
_SEQUENCE = Field(SEQUENCE, ColumnType.INTEGER)
_Row = TypeVar("_Row", Record, Record | None)


@attrs.frozen
class Position:
    """Where a follower stands: it has all that was committed up to `sequence` and matched.

    `since` is set during its first pull, and is the last number when that began: what was deleted before then
    it does not hold. `base` is the last number when the pull under way began: what had left its view before then
    it does not hold.
    """

    sequence: int
    since: int | None
    base: int


class Answer:
    """One request, answered inside one read transaction; `limit` counts rows."""

    def __init__(
        self, transaction: StoreTransaction, meta: Meta, request: PullRequest, limit: int, view: View = ALL
    ) -> None:
        self.transaction, self.meta, self.request, self.limit = transaction, meta, request, limit
        self.view = view
        self.table = request.query.table
        self.where = request.query.where
        fields = request.query.fields if request.fields is None else request.fields
        self.fields = None if fields is None else (*fields, "version")
        self.read = None if self.fields is None else (*self.fields, SEQUENCE, DELETED)

    def page(self) -> Page:
        """The page, without the remote's clock."""
        if self.request.ids is not None:
            return self.lookup(self.request.ids)
        return self.listing() if self.listed() else self.changes()

    def listed(self) -> bool:
        """Whether the request is for a part of what matches, in an order of its own."""
        query = self.request.query
        return bool(query.order or query.skip or query.take is not None)

    def ready(self) -> bool:
        """Whether the page can be answered: news for a view only where what is replaced is kept."""
        news = self.request.ids is None and not self.listed()
        return not news or self.view.where is None or self.table in self.meta.trails

    def changes(self) -> Page:
        """What was committed after the cursor, in the order of commits, as much as fits."""
        position = self.position()
        after = _above(position.sequence)
        where = all_of(after, self.view.where, self.wanted(position))
        # Whether a record departed is decided here, on all of it.
        fields = None if self.request.departures else self.read
        select = Query(self.table, where, (Order(_SEQUENCE),), take=self.limit + 1, fields=fields)
        # Stores without indexes would look at every row to find none.
        new = position.sequence < self.meta.sequence
        rows, more = fitting(self.transaction.select(select), self.limit) if new else ([], False)
        end = _number(rows[-1]) if more else None
        left: dict[str, int] = {}
        if self.view.where is not None and (self.request.deleted or position.since is not None):
            left, end = self.left(position, end)
            numbers = sorted(
                number for number in (*map(_number, rows), *left.values()) if _within(number, end)
            )
            end = numbers[self.limit - 1] if len(numbers) > self.limit else end
        found, tombstones, departed = self.sorted_out(
            [row for row in rows if _within(_number(row), end)], matcher(self.where)
        )
        tombstones |= {id: Tombstone(None) for id, number in left.items() if _within(number, end)}
        cursor = self.cursor(sequence=self.meta.sequence)
        if end is not None:
            # At the end the follower has everything there is, also where the last commits were not for it.
            cursor = self.cursor(sequence=end, **self.began(position))
        return Page(
            records=found,
            tombstones=tombstones,
            departed=departed,
            cursor=cursor,
            more=end is not None,
            total=self.total(after),
        )

    def began(self, position: Position) -> dict[str, int]:
        """What the cursor of a page says of the pull that it is in the middle of."""
        if position.since is not None:
            return {"since": position.since}
        return {} if self.view.where is None else {"base": position.base}

    def left(self, position: Position, end: int | None) -> tuple[dict[str, int], int | None]:
        """What has left the view since the pull began, up to `end`: the numbers of those rows, by id.

        Also the number that this is complete up to: many rows that are not for the follower are looked at in parts.
        """
        assert self.view.where is not None
        after = _above(max(position.sequence, position.base))
        before = None if end is None else Not(_above(end))
        where = all_of(after, before, Not(self.view.where))
        query = Query(self.table, where, (Order(_SEQUENCE),), take=HIDDEN_LIMIT + 1, fields=(SEQUENCE,))
        numbers = {str(row["id"]): _number(row) for row in self.transaction.select(query)}
        if len(numbers) > HIDDEN_LIMIT:
            del numbers[next(reversed(numbers))]
            end = max(numbers.values())
        seen = seen_since(self.transaction, self.table, numbers, position.base, self.view)
        return {id: number for id, number in numbers.items() if id in seen}, end

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
        live = all_of(LIVE, self.view.where, self.where)
        select = attrs.evolve(query, where=live, skip=query.skip + offset, take=take + 1, fields=self.read)
        rows, more = fitting(self.transaction.select(select), take)
        end = offset + len(rows)
        more = more and (query.take is None or end < query.take)
        records, _, _ = self.sorted_out(rows, matcher(None))
        cursor = self.cursor(offset=end) if more else None
        return Page(records=records, cursor=cursor, more=more, total=self.total())

    def lookup(self, ids: tuple[str, ...]) -> Page:
        """What is held under these ids: live ones that match, tombstones; what is not there is not told."""
        offset = self.offset()
        asked = tuple(dict.fromkeys(ids))
        got = self.transaction.get(self.table, asked[offset : offset + self.limit])
        held, _ = fitting(map(self.view.row, got), self.limit)
        end = offset + len(held)
        rows = [row for row in held if row is not None]
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
        return self.transaction.count(Query(self.table, all_of(after, LIVE, self.view.where, self.where)))

    # ---- cursors

    def cursor(self, **numbers: int) -> Json:
        """A cursor of this authority, table and view."""
        view = {} if self.view.mark is None else {"view": self.view.mark}
        history = {"identity": self.meta.identity, "epoch": self.meta.epoch}
        return {**history, "table": self.table, **view, **numbers}

    def numbers(self) -> dict[str, Json]:
        """What the request's cursor holds, if it is one of this authority, table and view; empty without one."""
        cursor = self.request.cursor
        if cursor is None:
            return {}
        if not isinstance(cursor, dict) or not {"identity", "table"} <= cursor.keys():
            raise ResyncRequired("the cursor is malformed: start again")
        if cursor["identity"] != self.meta.identity:
            raise ResyncRequired(f"the cursor is of another remote than {self.meta.identity!r}: start again")
        if cursor["table"] != self.table:
            raise ResyncRequired(f"the cursor is of another table than {self.table!r}: start again")
        if cursor.get("view") != self.view.mark:
            raise ResyncRequired("the cursor is of somebody who may see other records: start again")
        return cursor

    def position(self) -> Position:
        """Where the follower stands; `ResyncRequired` if what it missed cannot be told any more."""
        numbers, last = self.numbers(), self.meta.sequence
        if not numbers:
            return Position(0, last, last)
        sequence, since = self.number("sequence"), self.number("since") if "since" in numbers else None
        base = self.number("base") if "base" in numbers else sequence if since is None else since
        position = Position(sequence, since, base)
        if not has_commit(self.transaction, self.meta, numbers.get("epoch"), max(sequence, base)):
            raise ResyncRequired("the cursor is of commits that the remote has lost: start again")
        if max(sequence, since or 0) < self.meta.fences.get(self.table, 0):
            raise ResyncRequired("the cursor is too old: deletes since then have been forgotten; start again")
        if self.view.where is not None and base < self.meta.trails.get(self.table, 0):
            raise ResyncRequired(
                "the cursor is too old: what left since then has been forgotten; start again"
            )
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


def fitting(rows: Iterable[_Row], limit: int) -> tuple[list[_Row], bool]:
    """The first rows, one at the least, that fit a page of `limit` rows; and whether there are more."""
    taken: list[_Row] = []
    weight = 0
    for row in rows:
        if len(taken) >= limit or weight >= WEIGHT:
            return taken, True
        taken.append(row)
        weight += 0 if row is None else _weight(row.values())
    return taken, False


def _weight(values: Iterable[Json]) -> int:
    """The characters of text in some values, structures included; what else there is weighs little."""
    weight = 0
    for value in values:
        if isinstance(value, str):
            weight += len(value)
        elif isinstance(value, list):
            weight += _weight(value)
        elif isinstance(value, dict):
            weight += _weight(value) + _weight(value.values())
    return weight


def _above(sequence: int) -> Expr:
    return Compare("gt", _SEQUENCE, Value(sequence, ColumnType.INTEGER))


def _number(row: Record) -> int:
    number = row[SEQUENCE]
    assert isinstance(number, int)
    return number


def _within(number: int, end: int | None) -> bool:
    return end is None or number <= end
