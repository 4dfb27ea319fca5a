"""How an authority writes: the write half of `authority.py`.

Numbers are drawn inside write transactions, which run strictly one after another: nobody sees one before a
smaller one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import (
    Applied,
    Conflicted,
    Outcome,
    Rejected,
)
from tidesync.query import Compare, Field, Order, Query, Value, all_of, equals
from tidesync.records import Record, Tombstone, alive, version_of
from tidesync.schema import Column, TableSchema
from tidesync.transports.commits import Effect, permits
from tidesync.transports.layout import (
    DELETED,
    LIVE,
    REMEMBERED,
    SEQUENCE,
    content_in,
    copy_of,
    moment,
    read_meta,
)
from tidesync.values import ColumnType

Refuse: TypeAlias = Callable[[str, Record | None, Record | None], Rejected | None]
Referrers: TypeAlias = Mapping[str, Sequence[tuple[str, Column]]]
"""By table: the tables and columns whose values name its records."""


class Work:
    """One push inside its write transaction: it decides each change on what the ones before it left.

    `referrers` None: references are not enforced. `remembers` is in seconds, None for ever.
    """

    def __init__(
        self,
        transaction: StoreTransaction,
        tables: Mapping[str, TableSchema],
        *,
        now: float,
        remembers: float | None,
        referrers: Referrers | None,
        refuse: Refuse,
    ) -> None:
        self.transaction, self.tables, self.referrers, self.refuse = transaction, tables, referrers, refuse
        self.now, self.remembers = now, remembers
        self.meta = read_meta(transaction)
        self.clock = max(moment(now), self.meta.clock)
        self.sequence = self.meta.sequence
        self.rows: dict[str, dict[str, Record | None]] = {name: {} for name in tables}
        self.unwritten: dict[str, dict[str, Record]] = {name: {} for name in tables}
        self.remembered: dict[str, Record] = {}
        self.unremembered: list[Record] = []

    def load(self, effects: Sequence[Effect]) -> None:
        """Read what the changes need: one get per table, and one for their operation ids."""
        if self.remembers is not None:
            limit = Value(moment(self.now - self.remembers), ColumnType.DATETIME)
            old = Compare("lt", Field("at", ColumnType.DATETIME), limit)
            _ = self.transaction.delete_where(Query(REMEMBERED, old))
        wanted: dict[str, dict[str, None]] = {name: {} for name in self.tables}
        for effect in effects:
            wanted[effect.change.table][effect.change.record_id] = None
            for name, target in self.references(effect.change.table).items():
                value = effect.values.get(name)
                if isinstance(value, str):
                    wanted[target][value] = None
        for table, ids in wanted.items():
            if ids:
                self.rows[table] = dict(zip(ids, self.transaction.get(table, list(ids)), strict=True))
        known = self.transaction.get(REMEMBERED, [effect.key for effect in effects if effect.write.remember])
        self.remembered = {str(row["id"]): row for row in known if row is not None}

    def apply(self, effect: Effect) -> Outcome:
        """Decide one change, and note what it writes."""
        change, write = effect.change, effect.write
        seen = self.remembered.get(effect.key) if write.remember else None
        if seen is not None:
            if seen["fingerprint"] != effect.fingerprint:
                return Rejected("operation_reused", f"operation {change.id!r} was applied with other content")
            return Applied(version_of(seen))
        row = self.row(change.table, change.record_id)
        if write.witness is not None:
            write.witness(row)
        if write.condition is not None and not write.condition(copy_of(row)):
            return Conflicted(copy_of(row))
        if change.kind == "delete" and (row is None or row[DELETED]):
            return Applied(version_of(row), Tombstone(version_of(row)))
        if not permits(change.kind, change.expected, row):
            return Conflicted(copy_of(row))
        content = self.result(effect, row)
        refusal = self.refusal(effect, row, content)
        if refusal is not None:
            return refusal
        return self.write(effect, row, content)

    def result(self, effect: Effect, row: Record | None) -> Record | None:
        """The content that the change leads to, id included; None for a delete."""
        if effect.change.kind == "delete":
            return None
        if row is None or effect.change.kind == "insert" or effect.write.whole:
            return {"id": effect.change.record_id, **effect.values}
        kept = {key: value for key, value in content_in(row).items() if key not in effect.removed}
        return {**kept, **effect.values}

    def refusal(self, effect: Effect, row: Record | None, content: Record | None) -> Rejected | None:
        """The one place where a write that conflicts with nothing may be refused: by rule or reference."""
        old = copy_of(row)
        refused = self.refuse(effect.change.table, old if alive(old) else None, content)
        if refused is not None or self.referrers is None:
            return refused
        return self.named(effect) if content is None else self.dangling(effect, content)

    def write(self, effect: Effect, row: Record | None, content: Record | None) -> Applied:
        """Note the row, under the next number, and that the operation has had its effect."""
        change = effect.change
        self.sequence += 1
        # A number alone could come again for other content, on a store that was restored from a backup.
        version = f"{self.sequence}.{effect.fingerprint[:8]}"
        created = self.clock if row is None else row["created_at"]
        kept = content if content is not None else content_in(row or {})
        new: Record = {**kept, "version": version, "created_at": created, "updated_at": self.clock}
        new |= {SEQUENCE: self.sequence, DELETED: content is None}
        self.rows[change.table][change.record_id] = new
        self.unwritten[change.table][change.record_id] = new
        if effect.write.witness is not None:
            effect.write.witness(new)
        if self.remembers != 0 and effect.write.remember:
            known: Record = {"id": effect.key, "fingerprint": effect.fingerprint, "version": version}
            self.remembered[effect.key] = {**known, "at": self.clock}
            self.unremembered.append(self.remembered[effect.key])
        return Applied(version, copy_of(new))

    def row(self, table: str, id: str) -> Record | None:
        """The row as the changes before left it."""
        rows = self.rows[table]
        if id not in rows:
            rows[id] = self.transaction.get(table, [id])[0]
        return rows[id]

    def references(self, table: str) -> Mapping[str, str]:
        """Enforced references of a table."""
        return (self.tables[table].references or {}) if self.referrers is not None else {}

    def dangling(self, effect: Effect, content: Record) -> Rejected | None:
        """A refusal if the content names a record that is not there; of an update, what it writes counts."""
        table, id = effect.change.table, effect.change.record_id
        for name, target in self.references(table).items():
            value = content.get(name)
            if value is None or (effect.change.kind == "update" and name not in effect.values):
                continue
            named = self.row(target, value) if isinstance(value, str) else None
            if (target, value) != (table, id) and (named is None or named[DELETED]):
                return Rejected("foreign_key", f"{name} names no live record of {target}")
        return None

    def named(self, effect: Effect) -> Rejected | None:
        """A refusal if a live record names the one that would be deleted."""
        target, id = effect.change.table, effect.change.record_id
        for table, column in (self.referrers or {}).get(target, ()):
            self.put_rows(table)
            other = Compare("ne", Field("id"), Value(id)) if table == target else None
            where = all_of(equals(column.name, id, column.type), LIVE, other)
            order = (Order(Field(SEQUENCE, ColumnType.INTEGER)),)
            found = next(self.transaction.select(Query(table, where, order, take=1, fields=())), None)
            if found is not None:
                by = f"{table}/{found['id']}"
                return Rejected("foreign_key", f"the record is named by {column.name} of {by}")
        return None

    def put_rows(self, table: str) -> None:
        """Write what was noted for a table, so that queries see it."""
        if self.unwritten[table]:
            self.transaction.put(table, list(self.unwritten[table].values()))
            self.unwritten[table] = {}

    def finish(self) -> None:
        """Write everything noted: one put per table, one for the operation ids, one for the counters."""
        if self.sequence == self.meta.sequence:
            return
        for table in self.tables:
            self.put_rows(table)
        if self.unremembered:
            self.transaction.put(REMEMBERED, self.unremembered)
        attrs.evolve(self.meta, sequence=self.sequence, clock=self.clock).write(self.transaction)
