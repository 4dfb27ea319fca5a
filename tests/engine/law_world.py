"""The two sides that the law speaks of: a remote with foreign keys, and a device with the real queue."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
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
from tidesync.query import And, Compare, Field, Query, Value
from tidesync.queue import Queue
from tidesync.records import Copy, Record, Tombstone, alive, content_of, version_of
from tidesync.rows import META, SYSTEM_TABLES
from tidesync.schema import Column, TableSchema
from tidesync.sending import Run, Sent, mark
from tidesync.settling import settle_all
from tidesync.stores.memory import MemoryStore
from tidesync.values import ColumnType

Key: TypeAlias = tuple[str, str]
Contents: TypeAlias = dict[Key, Record]
"""What is alive, by table and id, without system fields."""
ITEMS_OF_ONE_LIST: tuple[Key, ...] = (("items", "A"), ("items", "B"), ("lists", "L"))
ONE_ITEM_OF_LISTS: tuple[Key, ...] = (("items", "A"), ("lists", "L"), ("lists", "M"))


def schemas(*, declared: bool) -> dict[str, TableSchema]:
    """Items that name lists, with the reference declared or nothing said."""
    items = (Column("text"), Column("list"))
    return {
        "lists": TableSchema("lists", (Column("text"),), references={} if declared else None),
        "items": TableSchema("items", items, references={"list": "lists"} if declared else None),
    }


def refuses(held: Contents, key: Key, new: Record | None) -> bool:
    """Whether foreign keys forbid that this becomes the content of the record."""
    if new is None:
        return key[0] == "lists" and any(record.get("list") == key[1] for record in held.values())
    named = new.get("list")
    return named is not None and ("lists", named) not in held


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
        if refuses(self.contents, key, new):
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


class QuickStore(MemoryStore):
    """The memory store, with the plain conditions that the engine asks for compiled without a tree walk."""

    def matches(self, query: Query) -> Callable[[Record], bool]:
        """As in the memory store: plain comparisons of text and numbers with values that are never null."""
        where = query.where
        items = where.items if isinstance(where, And) else (where,)
        tests: list[tuple[str, Any, Any]] = []
        for item in items:
            match item:
                case Compare(sign, Field(field, kind), Value(value)) if sign in SIGNS and kind in PLAIN:
                    tests.append((field, SIGNS[sign], value))
                case _:
                    return super().matches(query)
        if len(tests) == 1:
            ((field, test, value),) = tests
            return lambda row: test(row[field], value)
        return lambda row: all(test(row[field], value) for field, test, value in tests)


SIGNS = {"eq": operator.eq, "gt": operator.gt, "lt": operator.lt, "le": operator.le}
PLAIN = (ColumnType.STRING, ColumnType.INTEGER)


class Device:
    """The real queue on a memory store whose state can be taken down and put back."""

    def __init__(self, *, declared: bool) -> None:
        self.schemas = schemas(declared=declared)
        self.store = QuickStore()
        self.store.open([*SYSTEM_TABLES, *self.schemas.values()])

    def taken_down(self) -> dict[str, dict[str, Record]]:
        """The state; rows are replaced whole by the store, never changed."""
        return {name: dict(rows) for name, rows in self.store.tables.items()}

    def put_back(self, state: Mapping[str, dict[str, Record]]) -> None:
        """Return to a state."""
        self.store.tables = {name: dict(rows) for name, rows in state.items()}

    def write(self, key: Key, content: Record | None) -> None:
        """One local edit, in one transaction."""
        with self.store.transaction(write=True) as transaction:
            queue = Queue(Ledger(transaction, self.schemas, nonce="n", now=0.0))
            queue.write(*key, content)
            _ = queue.close("local")

    def begin(self, max_changes: int) -> Run:
        """What a push keeps in mind."""
        with self.store.transaction(write=False) as transaction:
            row = transaction.get(META, ["counters"])[0]
        sequence = row["value"][0] if row is not None else 0  # type: ignore[index]  # a list
        return Run(snapshot=sequence, max_changes=max_changes)  # type: ignore[arg-type]  # a number

    def mark(self, run: Run) -> list[Sent]:
        """Mark the next operations that may travel together."""
        with self.store.transaction(write=True) as transaction:
            queue = Queue(Ledger(transaction, self.schemas, nonce="n", now=0.0))
            batch = mark(queue, run)
            _ = queue.close("push")
        return batch

    def settle(self, batch: Sequence[Sent], outcomes: Sequence[Outcome], run: Run) -> None:
        """Settle what came of it."""
        with self.store.transaction(write=True) as transaction:
            queue = Queue(Ledger(transaction, self.schemas, nonce="n", now=0.0))
            settle_all(queue, batch, outcomes, run)
            _ = queue.close("push")

    def contents(self) -> Contents:
        """What the user sees."""
        found: Contents = {}
        with self.store.transaction(write=False) as transaction:
            for table in self.schemas:
                for row in transaction.select(Query(table)):
                    found[table, str(row["id"])] = content_of(row) or {}
        return found


def new_record(key: Key, name: str | None) -> Record:
    """What an insert writes."""
    return {"id": key[1], "text": "t0", **({"list": name} if key[0] == "items" else {})}
