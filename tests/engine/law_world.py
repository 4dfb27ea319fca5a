"""The two sides that the law speaks of: a remote with foreign keys, and a device with the real queue."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from tidesync.contracts.transport import (
    Absent,
    Applied,
    Change,
    Conflicted,
    Expected,
    Outcome,
    Rejected,
    Version,
)
from tidesync.ledger import Ledger
from tidesync.query import And, Compare, Expr, Field, In, Query, Value
from tidesync.queue import Queue
from tidesync.records import Copy, Record, Tombstone, alive, content_of, version_of
from tidesync.rows import META, SYSTEM_TABLES
from tidesync.schema import Column, TableSchema
from tidesync.sending import Run, Sent, mark
from tidesync.settling import settle_all

Key: TypeAlias = tuple[str, str]
Contents: TypeAlias = dict[Key, Record]
"""What is alive, by table and id, without system fields."""
State: TypeAlias = dict[str, dict[str, Record]]
"""The rows of each table by id."""
ITEMS_OF_ONE_LIST: tuple[Key, ...] = (("items", "A"), ("items", "B"), ("lists", "L"))
ONE_ITEM_OF_LISTS: tuple[Key, ...] = (("items", "A"), ("lists", "L"), ("lists", "M"))


def schemas(*, declared: bool) -> dict[str, TableSchema]:
    """Items that name lists, with the reference declared or nothing said."""
    items = (Column("text"), Column("list"))
    return {
        "lists": TableSchema("lists", (Column("text"),), references={} if declared else None),
        "items": TableSchema("items", items, references={"list": "lists"} if declared else None),
    }


def refuses(held: Mapping[Key, Copy], key: Key, new: Record | None) -> bool:
    """Whether foreign keys forbid that this becomes the content of the record, where these are held."""
    if new is None:
        return key[0] == "lists" and any(alive(copy) and copy.get("list") == key[1] for copy in held.values())
    named = new.get("list")
    return named is not None and not alive(held.get(("lists", str(named))))


# ---- the remote


@attrs.frozen
class Remote:
    """A remote with foreign keys, versions and tombstones; `seen` are the operation ids it has put into effect."""

    rows: Mapping[Key, Copy]
    remembers: bool
    seen: Mapping[str, str] = attrs.field(factory=dict)
    clock: int = 0

    @property
    def contents(self) -> Contents:
        """What is alive."""
        return {key: content for key, copy in self.rows.items() if (content := content_of(copy)) is not None}

    def take(self, change: Change) -> tuple[Remote, Outcome]:
        """Decide one change."""
        key = (change.table, change.record_id)
        now = self.rows.get(key)
        if self.remembers and change.id in self.seen:
            return self, Applied(self.seen[change.id])
        if change.kind == "delete" and not alive(now):
            return self, Applied(version_of(now), now if isinstance(now, Tombstone) else Tombstone())
        if not _holds(change.expected, now):
            return self, Conflicted(now)
        version = str(self.clock + 1)
        new: Record | None = None
        if change.record is not None:
            new = {
                "id": key[1],
                **(content_of(now) or {}),
                **{field: change.record[field] for field in change.fields},
            }
        if refuses(self.rows, key, new):
            return self, Rejected("foreign_key", f"{change.kind} of {key} breaks a reference")
        copy: Copy = Tombstone(version) if new is None else {**new, "version": version}
        after = Remote(
            {**self.rows, key: copy}, self.remembers, {**self.seen, change.id: version}, self.clock + 1
        )
        return after, Applied(version, copy)


def _holds(expected: Expected, now: Copy) -> bool:
    match expected:
        case Version(version):
            return alive(now) and version_of(now) == version
        case Absent():
            return now is None
        case Tombstone(version):
            return isinstance(now, Tombstone) and version in (None, now.version)
        case _:
            return True


# ---- the device


class Tables:
    """Records in memory, for one thread and for the engine's queue alone: nothing is checked, nothing rolled back.

    A table is replaced, never changed, so that a state is taken down and put back by its names. Nor are rows: the
    engine makes new ones, so its own are handed out as they lie here. The law takes tens of millions of steps on
    it; what a whole store promises is shown elsewhere.
    """

    def __init__(self, tables: Iterable[TableSchema]) -> None:
        self.state: State = {table.name: {} for table in tables}

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        """As the contract says."""
        rows = self.state[table]
        return [rows.get(id) for id in ids]

    def select(self, query: Query) -> Iterator[Record]:
        """Where its conditions compare fields with values that are never null."""
        rows = list(self.state[query.table].values())
        where = query.where
        for item in where.items if isinstance(where, And) else () if where is None else (where,):
            rows = _kept(rows, item) if rows else rows
        if len(rows) > 1:
            names = [order.by.name for order in query.order if isinstance(order.by, Field)]
            rows.sort(key=operator.itemgetter(*names, "id"))
        stop = None if query.take is None else query.skip + query.take
        return iter(rows[query.skip : stop])

    def count(self, query: Query) -> int:
        """As the contract says, without skip and take."""
        return len(list(self.select(query)))

    def put(self, table: str, records: Sequence[Record]) -> None:
        """As the contract says."""
        self.state[table] = {**self.state[table], **{str(record["id"]): record for record in records}}

    def delete(self, table: str, ids: Sequence[str]) -> int:
        """As the contract says."""
        rows = self.state[table]
        left = {id: row for id, row in rows.items() if id not in ids}
        self.state[table] = left
        return len(rows) - len(left)

    def delete_where(self, query: Query) -> int:
        """As the contract says."""
        return self.delete(query.table, [str(row["id"]) for row in self.select(query)])


def _kept(rows: list[Record], item: Expr) -> list[Record]:
    """Those of the rows that a condition holds for, out of the few kinds that the queue asks."""
    match item:
        case Compare(sign, Field(field), Value(value)):
            test: Callable[[Any, Any], bool] = getattr(operator, sign)
            return [row for row in rows if test(row[field], value)]
        case In(Field(field), values):
            return [row for row in rows if row[field] in values]
        case _:
            raise NotImplementedError(f"the queue has not asked this before: {item}")


class Device:
    """The real queue on tables whose state can be taken down and put back."""

    def __init__(self, *, declared: bool) -> None:
        self.schemas = schemas(declared=declared)
        self.tables = Tables([*SYSTEM_TABLES, *self.schemas.values()])

    def taken_down(self) -> State:
        """The state; tables are replaced whole, never changed."""
        return self.tables.state.copy()

    def put_back(self, state: State) -> None:
        """Return to a state."""
        self.tables.state = state.copy()

    def write(self, key: Key, content: Record | None) -> None:
        """One local edit, in one transaction."""
        queue = self._queue()
        queue.write(*key, content)
        _ = queue.close("local")

    def begin(self, max_changes: int) -> Run:
        """What a push keeps in mind."""
        row = self.tables.get(META, ["counters"])[0]
        sequence = row["value"][0] if row is not None else 0  # type: ignore[index]  # a list
        return Run(snapshot=sequence, max_changes=max_changes)  # type: ignore[arg-type]  # a number

    def mark(self, run: Run) -> list[Sent]:
        """Mark the next operations that may travel together."""
        queue = self._queue()
        batch = mark(queue, run)
        _ = queue.close("push")
        return batch

    def settle(self, batch: Sequence[Sent], outcomes: Sequence[Outcome], run: Run) -> None:
        """Settle what came of it."""
        queue = self._queue()
        settle_all(queue, batch, outcomes, run)
        _ = queue.close("push")

    def contents(self) -> Contents:
        """What the user sees."""
        return {
            (table, id): content_of(row) or {}
            for table in self.schemas
            for id, row in self.tables.state[table].items()
        }

    def _queue(self) -> Queue:
        return Queue(Ledger(self.tables, self.schemas, nonce="n", now=0.0))


def new_record(key: Key, name: str | None) -> Record:
    """What an insert writes."""
    return {"id": key[1], "text": "t0", **({"list": name} if key[0] == "items" else {})}
