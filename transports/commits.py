"""How an authority keeps its tables on a store, and how it writes to them: the write half of `authority.py`.

Each declared table is one table of the store, whose rows also carry two hidden fields: `_sequence`, the row's
place in the order of commits, and `_deleted`. A deleted row keeps its last content, for undelete. Numbers are
drawn inside write transactions, which run strictly one after another: nobody sees one before a smaller one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    ChangeKind,
    Conflicted,
    Expected,
    Outcome,
    Rejected,
    Version,
)
from tidesync.errors import InvalidId, InvalidRecord, StoreClosed, StoreTooNew
from tidesync.query import Compare, Field, Order, Query, Value, all_of, equals
from tidesync.records import (
    SYSTEM_FIELDS,
    Copy,
    Record,
    Tombstone,
    alive,
    check_id,
    check_json,
    check_record,
    version_of,
)
from tidesync.schema import Column, TableSchema
from tidesync.transports.principal import ANYBODY, Principal
from tidesync.values import ColumnType, copy_json

SEQUENCE: Final = "_sequence"
DELETED: Final = "_deleted"
HIDDEN: Final = frozenset((SEQUENCE, DELETED))
LIVE: Final = equals(DELETED, False, ColumnType.BOOLEAN)
DEAD: Final = equals(DELETED, True, ColumnType.BOOLEAN)

META: Final = "__authority"
REMEMBERED: Final = "__remembered"
OWN_TABLES: Final = (
    TableSchema(META, (), {}),
    TableSchema(REMEMBERED, (Column("at", ColumnType.DATETIME),), {}, (("at",),)),
)
FORMAT: Final = 1

Refuse: TypeAlias = Callable[[str, Record | None, Record | None], Rejected | None]
Referrers: TypeAlias = Mapping[str, Sequence[tuple[str, Column]]]
"""By table: the tables and columns whose values name its records."""


def moment(seconds: float) -> str:
    """Seconds since 1970 as canonical datetime text: UTC, 27 characters."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def stored(schema: TableSchema, *, foreign_keys: bool) -> TableSchema:
    """The table as the store keeps it: with hidden columns, and indexes for what is asked here."""
    columns = [attrs.evolve(column, wire=column.name) for column in schema.columns]
    columns += [Column(SEQUENCE, ColumnType.INTEGER), Column(DELETED, ColumnType.BOOLEAN)]
    references = (schema.references or {}) if foreign_keys else {}
    needed = [(SEQUENCE,), *((name, DELETED, SEQUENCE) for name in references)]
    indexes = dict.fromkeys((*needed, *schema.indexes))
    return TableSchema(schema.name, tuple(columns), schema.references, tuple(indexes))


def copy_of(row: Record | None) -> Copy:
    """What others may see of a row: the record without hidden fields, a tombstone, or nothing."""
    if row is None:
        return None
    if row[DELETED]:
        return Tombstone(version_of(row))
    return {key: value for key, value in row.items() if key not in HIDDEN}


def _content(row: Record) -> Record:
    return {key: value for key, value in row.items() if key not in SYSTEM_FIELDS and key not in HIDDEN}


@attrs.frozen
class Meta:
    """The authority's counters, one row of its store: read and written in the transaction that uses them.

    `sequence` is the last number drawn, `clock` the latest time written, `fences` by table the number of the
    last tombstone that was forgotten.
    """

    identity: str
    sequence: int = 0
    clock: str = ""
    fences: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def write(self, transaction: StoreTransaction) -> None:
        """Put the row."""
        row: Record = {"id": "meta", "format": FORMAT, "identity": self.identity, "sequence": self.sequence}
        transaction.put(META, [{**row, "clock": self.clock, "fences": dict(self.fences)}])


def find_meta(transaction: StoreTransaction) -> Meta | None:
    """The counters, None where the store has none yet; `StoreTooNew` for another format."""
    match transaction.get(META, ["meta"])[0]:
        case None:
            return None
        case {
            "format": 1,
            "identity": str(who),
            "sequence": int(last),
            "clock": str(clock),
            "fences": dict(fences),
        }:
            return Meta(who, last, clock, fences)
        case row:
            found = row.get("format")
            raise StoreTooNew(
                f"the remote's store has format {found!r}, and this tidesync reads {FORMAT}: upgrade it",
                found if isinstance(found, int) else 0,
                FORMAT,
            )


def read_meta(transaction: StoreTransaction) -> Meta:
    """The counters; `StoreClosed` if the authority was never opened on this store."""
    meta = find_meta(transaction)
    if meta is None:
        raise StoreClosed("the authority is not open: use `with Authority(...)`, or call open()")
    return meta


@attrs.frozen
class Effect:
    """A readable change: the fields it writes and removes, and the mark by which it is known again."""

    change: Change
    values: Record
    removed: frozenset[str]
    fingerprint: str


def read_change(change: Change, limit: int) -> Effect | Rejected:
    """The effect that a change asks for, or why it can have none, whatever the remote holds.

    An insert writes all of its record, an update the fields it names; a named field that is not in the record
    is removed. `limit` is in bytes of JSON.
    """
    values, removed = Record(), frozenset[str]()
    try:
        _ = check_id("operation", change.id)
        _ = check_id(change.table, change.record_id)
        if change.kind in ("insert", "update"):
            record = _sent(change)
            names = set(record if change.kind == "insert" else change.fields) - {"id", *SYSTEM_FIELDS}
            if taken := names & HIDDEN:
                reason = "the name belongs to the remote: choose another"
                raise InvalidRecord(change.table, min(taken), "field", reason)
            # Nobody else holds the copies, so what their sender does to them later does not matter.
            values = {name: copy_json(value) for name, value in record.items() if name in names}
            removed = frozenset(names - values.keys())
        elif change.kind not in ("delete", "undelete"):
            return Rejected("unknown_kind", f"there is no change of kind {change.kind!r:.80}")
    except InvalidId as error:
        return Rejected("invalid_id", str(error))
    except InvalidRecord as error:
        return Rejected("invalid_record", str(error))
    what = [change.table, change.record_id, change.kind, values, sorted(removed)]
    text = json.dumps(what, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) > limit:
        return Rejected("too_large", f"the change has {len(text)} bytes of JSON, and {limit} is the limit")
    return Effect(change, values, removed, hashlib.blake2b(text, digest_size=16).hexdigest())


def _sent(change: Change) -> Record:
    record: object = change.record
    if not isinstance(record, dict):
        reason = f"an {change.kind} carries the record"
        raise InvalidRecord(change.table, "", type(record).__name__, reason)
    sent: Record = {"id": change.record_id, **record}
    for name in sent:
        check_json(change.table, ascii(name), name)
    if check_record(change.table, sent) != change.record_id:
        raise InvalidId(change.table, sent["id"], f"the change is for {change.record_id!r:.80}")
    return sent


Condition: TypeAlias = Callable[[Copy], bool]


@attrs.frozen
class Write:
    """A change and who asks for it.

    `condition` is asked, beside the change's own expectation, on what is held for this principal; where it says
    no, the outcome is `Conflicted`, also for a delete of what is gone. `remember` False: the change's id is not
    an operation's, and not kept.
    """

    change: Change
    principal: Principal = ANYBODY
    condition: Condition | None = None
    remember: bool = True


def permits(kind: ChangeKind, expected: Expected, row: Record | None) -> bool:
    """Whether what is held is fit for this kind of change, and is what was expected.

    Update and delete need a live record, insert needs none, undelete a tombstone.
    """
    live = row is not None and not row[DELETED]
    if live != (kind in ("update", "delete")) or (row is None and kind == "undelete"):
        return False
    match expected:
        case Anything():
            return True
        case Version(version):
            return live and version == version_of(row)
        case Absent():
            return row is None
        case Tombstone(version):
            return row is not None and not live and version in (None, version_of(row))


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
        known = self.transaction.get(REMEMBERED, [effect.change.id for effect in effects])
        self.remembered = {str(row["id"]): row for row in known if row is not None}

    def apply(self, effect: Effect) -> Outcome:
        """Decide one change, and note what it writes."""
        change, seen = effect.change, self.remembered.get(effect.change.id)
        if seen is not None:
            if seen["fingerprint"] != effect.fingerprint:
                return Rejected("operation_reused", f"operation {change.id!r} was applied with other content")
            return Applied(version_of(seen))
        row = self.row(change.table, change.record_id)
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
        if row is None or effect.change.kind == "insert":
            return {"id": effect.change.record_id, **effect.values}
        kept = {key: value for key, value in _content(row).items() if key not in effect.removed}
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
        kept = content if content is not None else _content(row or {})
        new: Record = {**kept, "version": version, "created_at": created, "updated_at": self.clock}
        new |= {SEQUENCE: self.sequence, DELETED: content is None}
        self.rows[change.table][change.record_id] = new
        self.unwritten[change.table][change.record_id] = new
        if self.remembers != 0:
            known: Record = {"id": change.id, "fingerprint": effect.fingerprint, "version": version}
            self.remembered[change.id] = {**known, "at": self.clock}
            self.unremembered.append(self.remembered[change.id])
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
