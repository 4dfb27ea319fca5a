"""How an authority writes: the write half of `authority.py`.

Numbers are drawn inside write transactions, which run strictly one after another: nobody sees one before a
smaller one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from typing import Final

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import (
    Applied,
    Conflicted,
    Outcome,
    Rejected,
    Unknown,
    Version,
)
from tidesync.query import Compare, Field, Order, Query, Value, all_of, equals
from tidesync.records import Record, Tombstone, alive, same, version_of
from tidesync.schema import Column
from tidesync.transports.commits import Effect, permits
from tidesync.transports.layout import (
    DELETED,
    HIDDEN,
    LIVE,
    REMEMBERED,
    SEQUENCE,
    content_in,
    copy_of,
    moment,
    read_meta,
)
from tidesync.transports.rules import FORBIDDEN, Rules
from tidesync.transports.trails import TRAILS, trail
from tidesync.transports.views import ALL, View
from tidesync.values import ColumnType

FORGET_EVERY: Final = 1000
"""Commits after which operation ids that are not known any more are deleted."""


class Work:
    """Some writes inside their transaction: it decides each on what the ones before it left.

    `after` is the number before the first one that it draws; None: that of the last commit. `written` is what took
    effect, in order: the effect, and the row that it left.
    """

    def __init__(
        self, transaction: StoreTransaction, rules: Rules, now: float, after: int | None = None
    ) -> None:
        self.transaction, self.rules, self.now = transaction, rules, now
        self.meta = read_meta(transaction)
        self.clock = max(moment(now), self.meta.clock)
        self.sequence = self.meta.sequence if after is None else after
        # Operation ids from before then are not known any more; moments are texts that sort.
        self.known_from = "" if rules.remembers is None else moment(now - rules.remembers)
        self.rows: dict[str, dict[str, Record | None]] = {name: {} for name in rules.tables}
        self.unwritten: dict[str, dict[str, Record]] = {name: {} for name in rules.tables}
        self.remembered: dict[str, Record] = {}
        self.unremembered: list[Record] = []
        self.written: list[tuple[Effect, Record]] = []
        self.left: list[Record] = []

    def load(self, effects: Sequence[Effect]) -> None:
        """Read what the changes need: one get per table, and one for their operation ids."""
        wanted: dict[str, dict[str, None]] = {name: {} for name in self.rules.tables}
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
        self.remembered = {
            str(row["id"]): row for row in known if row is not None and str(row["at"]) >= self.known_from
        }

    def apply(self, effect: Effect) -> Outcome:
        """Decide one change, and note what it writes."""
        change, write = effect.change, effect.write
        seen = self.remembered.get(effect.key) if write.remember else None
        if seen is not None:
            if seen["fingerprint"] != effect.fingerprint:
                return Rejected("operation_reused", f"operation {change.id!r} was applied with other content")
            return Applied(version_of(seen))
        row = self.row(change.table, change.record_id)
        held = effect.view.row(row)
        unfit = self.rules.refusal(effect, held)
        if unfit is not None:
            return unfit
        if write.witness is not None:
            write.witness(held)
        wanted = write.condition is None or write.condition(copy_of(held))
        if wanted and change.kind == "delete" and (held is None or held[DELETED]):
            return Applied(version_of(held), Tombstone(version_of(held)))
        if not wanted or not permits(change.kind, change.expected, held):
            return self.conflict(effect, held)
        if row is not held:
            return FORBIDDEN
        return self.decide(effect, held)

    def conflict(self, effect: Effect, held: Record | None) -> Outcome:
        """What comes of a write that does not meet what it expects: a conflict, unless the rule settles it."""
        copy, change = copy_of(held), effect.change
        if change.table not in self.rules.before_write or not alive(copy):
            return Conflicted(copy)
        if change.kind not in ("insert", "update"):
            return Conflicted(copy)
        version = change.expected.version if isinstance(change.expected, Version) else None
        # What failed may be the condition alone: the rule shall see that it is a conflict.
        answer = self.ask(effect, held, None if version == version_of(copy) else version)
        if answer is None:
            return Conflicted(copy)
        return self.amend(effect, held, answer) if isinstance(answer, dict) else answer

    def decide(self, effect: Effect, held: Record | None) -> Outcome:
        """What comes of a write that conflicts with nothing."""
        change = effect.change
        if change.table in self.rules.before_write:
            expected = change.expected
            version = expected.version if isinstance(expected, Tombstone) else None
            answer = self.ask(effect, held, version_of(held) if alive(copy_of(held)) else version)
            if isinstance(answer, dict):
                return self.amend(effect, held, answer)
            if answer is not None:
                return answer
        content = self.result(effect, held)
        return self.settle(effect, held, content, effect.values if change.kind == "update" else content or {})

    def ask(
        self, effect: Effect, held: Record | None, version: str | None
    ) -> Record | Rejected | Unknown | None:
        """What the remote's own rule says of the write; `version` is the one that it was made from."""
        old, new = copy_of(held), self.result(effect, held)
        if new is not None and version is not None:
            new = {**new, "version": version}
        return self.rules.ask(effect.change.table, old if alive(old) else None, new, effect.write.principal)

    def amend(self, effect: Effect, held: Record | None, answer: Record) -> Outcome:
        """What comes of a write for which the rule answered a record."""
        amended = self.rules.amend(effect, held, answer)
        if isinstance(amended, Rejected):
            return amended
        content: Record = {"id": effect.change.record_id, **amended.values}
        old = content_in(held) if held is not None and not held[DELETED] else {}
        written = {name for name, value in content.items() if name not in old or not same(old[name], value)}
        return self.settle(amended, held, content, written)

    def result(self, effect: Effect, held: Record | None) -> Record | None:
        """The content that the change leads to, id included; None for a delete."""
        kind = effect.change.kind
        if kind == "delete":
            return None
        if held is None or kind == "insert" or (kind == "update" and effect.write.whole):
            return {"id": effect.change.record_id, **effect.values}
        kept = {key: value for key, value in content_in(held).items() if key not in effect.removed}
        return {**kept, **effect.values}

    def settle(
        self, effect: Effect, held: Record | None, content: Record | None, written: Container[str]
    ) -> Applied | Rejected:
        """Write the content, unless it leads out of the view, or references forbid it.

        Of the references in it those `written` count.
        """
        version = self.version(effect, held)
        created = self.clock if held is None else held["created_at"]
        kept = content if content is not None else content_in(held or {})
        new: Record = {**kept, "version": version, "created_at": created, "updated_at": self.clock}
        new |= {SEQUENCE: self.sequence + 1, DELETED: content is None}
        if content is not None and effect.view.row(new) is None:
            return FORBIDDEN
        refused = None
        if self.rules.referrers is not None:
            refused = self.named(effect) if content is None else self.dangling(effect, content, written)
        return self.write(effect, held, new) if refused is None else refused

    def version(self, effect: Effect, held: Record | None) -> str:
        """The version of what is written next.

        A number alone could come again for other content, on a store that was restored from a backup: the version
        also tells what was written, and on what.
        """
        mark = hashlib.blake2b(f"{version_of(held)} {effect.fingerprint}".encode(), digest_size=4)
        return f"{self.sequence + 1}.{mark.hexdigest()}"

    def write(self, effect: Effect, held: Record | None, new: Record) -> Applied:
        """Note the row, and that the operation has had its effect."""
        table, version = effect.change.table, version_of(new)
        self.sequence += 1
        # What was written in this transaction nobody else has seen.
        if table in self.meta.trails and held is not None and _number(held) <= self.meta.sequence:
            row = {name: value for name, value in held.items() if name not in HIDDEN}
            self.left.append(trail(table, row, self.sequence, self.clock))
        self.rows[table][effect.change.record_id] = new
        self.unwritten[table][effect.change.record_id] = new
        self.written.append((effect, new))
        if effect.write.witness is not None:
            effect.write.witness(new)
        if self.rules.remembers != 0 and effect.write.remember:
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
        return (self.rules.tables[table].references or {}) if self.rules.referrers is not None else {}

    def dangling(self, effect: Effect, content: Record, written: Container[str]) -> Rejected | None:
        """A refusal if the content names, in a field that is written, a record that is not there."""
        table, id = effect.change.table, effect.change.record_id
        for name, target in self.references(table).items():
            value = content.get(name)
            if value is None or name not in written or (target, value) == (table, id):
                continue
            view = self.rules.views.of(effect.write.principal, target)
            named = self.row(target, value) if isinstance(value, str) and view is not None else None
            if view is None:
                return Rejected("foreign_key", f"{name} names no live record")
            if view.row(named) is None or named is None or named[DELETED]:
                return Rejected("foreign_key", f"{name} names no live record of {target}")
        return None

    def named(self, effect: Effect) -> Rejected | None:
        """A refusal if a live record names the one that would be deleted; a hidden one is not told."""
        for table, column in (self.rules.referrers or {}).get(effect.change.table, ()):
            self.put_rows(table)
            view = self.rules.views.of(effect.write.principal, table)
            by = None if view is None else self.naming(effect, table, column, view)
            if by is not None:
                return Rejected("foreign_key", f"the record is named by {column.name} of {table}/{by}")
            if view is not ALL and self.naming(effect, table, column, ALL) is not None:
                return Rejected("foreign_key", "the record is named by another one")
        return None

    def naming(self, effect: Effect, table: str, column: Column, view: View) -> str | None:
        """The id of the first live record in the view that names the one of the change."""
        target, id = effect.change.table, effect.change.record_id
        other = Compare("ne", Field("id"), Value(id)) if table == target else None
        where = all_of(equals(column.name, id, column.type), LIVE, other, view.where)
        order = (Order(Field(SEQUENCE, ColumnType.INTEGER)),)
        found = next(self.transaction.select(Query(table, where, order, take=1, fields=())), None)
        return None if found is None else str(found["id"])

    def put_rows(self, table: str) -> None:
        """Write what was noted for a table, so that queries see it."""
        if self.unwritten[table]:
            self.transaction.put(table, list(self.unwritten[table].values()))
            self.unwritten[table] = {}

    def finish(self) -> None:
        """Write everything noted: one put per table, one for the operation ids, one for the counters."""
        if not self.written:
            return
        for table in self.rules.tables:
            self.put_rows(table)
        if self.known_from and self.sequence // FORGET_EVERY > self.meta.sequence // FORGET_EVERY:
            limit = Value(self.known_from, ColumnType.DATETIME)
            old = Compare("lt", Field("at", ColumnType.DATETIME), limit)
            _ = self.transaction.delete_where(Query(REMEMBERED, old))
        if self.unremembered:
            self.transaction.put(REMEMBERED, self.unremembered)
        if self.left:
            self.transaction.put(TRAILS.name, self.left)
        attrs.evolve(self.meta, sequence=self.sequence, clock=self.clock).write(self.transaction)


def _number(row: Record) -> int:
    number = row[SEQUENCE]
    assert isinstance(number, int)
    return number
