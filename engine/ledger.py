"""The engine's own tables inside one store transaction: read once, changed in memory, written once.

A `Ledger` lives as long as one transaction. What it hands out (`Head`, `Entry`, local records) is changed in
place; `flush` writes every row that changed, one `put` a table. So a batch of a thousand edits costs as many
statements as one edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidesync.contracts.store import StoreTransaction
from tidesync.query import Compare, Field, In, Order, Query, Value, all_of, equals
from tidesync.records import Copy, Json, Record, alive, decode_copy
from tidesync.rows import COUNTERS, EDGES, HEADS, META, OPERATIONS, decode_entry, encode_entry, encode_head
from tidesync.rules.chain import Entry, Head, before, kind_of, record_key
from tidesync.rules.order import named_records, names, names_of
from tidesync.schema import TableSchema
from tidesync.values import ColumnType

NO_NAMES: frozenset[str] = frozenset()
CHUNK = 500
"""Names that are looked up at once."""
_S, _I = ColumnType.STRING, ColumnType.INTEGER


class Counters:
    """Store-wide numbers that are never reused, how many operations are queued, and `changes`.

    `changes` counts by table the transactions that changed records of it; a store that was last written by an older
    tidesync has none.
    """

    __slots__ = ("changes", "pending", "revision", "sequence")

    def __init__(self, row: Record | None) -> None:
        value = row["value"] if row else None
        numbers: list[int] = value if isinstance(value, list) else [0, 0, 0]
        self.sequence, self.revision, self.pending = numbers
        counted = row.get("changes") if row else None
        self.changes: dict[str, int] = dict(counted) if isinstance(counted, dict) else {}

    @property
    def numbers(self) -> tuple[int, int, int]:
        """All but the changes."""
        return self.sequence, self.revision, self.pending

    def encode(self) -> Record:
        """As a row of `__meta`."""
        row: Record = {"id": COUNTERS, "value": list(self.numbers)}
        return {**row, "changes": dict(self.changes)} if self.changes else row


class Ledger:
    """Heads, operations and local records in one write transaction; `flush` before it commits."""

    def __init__(
        self, transaction: StoreTransaction, tables: Mapping[str, TableSchema], *, nonce: str, now: float
    ) -> None:
        self.transaction, self.tables, self.now = transaction, tables, now
        self._nonce = nonce
        self.counters = Counters(transaction.get(META, [COUNTERS])[0])
        self._counted = self.counters.numbers
        self._heads: dict[str, Head | None] = {}
        self._touched: dict[str, Head] = {}
        self._rows: dict[str, Record] = {}
        self._removed: dict[str, Entry] = {}
        self._locals: dict[str, dict[str, Record | None]] = {}
        self._changed: dict[str, dict[str, Record | None]] = {}
        self._named: dict[str, dict[str, tuple[Head, Entry]]] = {}
        self._edges: dict[str, list[Record]] = {}
        self.changed_ids: dict[str, dict[str, None]] = {}
        self.changed_wholly: dict[str, None] = {}
        self._noted: set[str] = set()

    # ---- reading

    def load(self, keys: Iterable[str]) -> None:
        """Read these heads and their operations, all at once."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._heads]
        if not wanted:
            return
        rows = self.transaction.get(HEADS, wanted)
        entry_keys = [key for row in rows if row is not None for key in _texts(row["entries"])]
        entries = (
            dict(zip(entry_keys, self.transaction.get(OPERATIONS, entry_keys), strict=True))
            if entry_keys
            else {}
        )
        for key, row in zip(wanted, rows, strict=True):
            self._heads[key] = None if row is None else self._head(row, entries)

    def _head(self, row: Record, entries: Mapping[str, Record | None]) -> Head:
        remote = decode_copy(row["remote"])
        head = Head(
            str(row["table"]), str(row["record_id"]), decode_copy(row["base"]), remote, _int(row["revision"])
        )
        for key in _texts(row["entries"]):
            found = entries[key]
            assert found is not None
            self._rows[key] = found
            head.entries.append(decode_entry(found))
        return head

    def head(self, table: str, record_id: str) -> Head | None:
        """The head of one record, if it has queued operations."""
        return self.head_at(record_key(table, record_id))

    def head_at(self, key: str) -> Head | None:
        """The head under a record key."""
        if key not in self._heads:
            self.load([key])
        return self._heads[key]

    def load_local(self, table: str, ids: Iterable[str]) -> None:
        """Read these local records, all at once."""
        known = self._locals.setdefault(table, {})
        wanted = [id for id in dict.fromkeys(ids) if id not in known]
        if wanted:
            known.update(zip(wanted, self.transaction.get(table, wanted), strict=True))

    def local(self, table: str, record_id: str) -> Record | None:
        """A local record as this transaction left it."""
        self.load_local(table, [record_id])
        return self._locals[table][record_id]

    def heads(self, query: Query) -> list[Head]:
        """The heads of the operations that the query selects, each once; write what is pending first."""
        rows = list(self.transaction.select(query))
        keys = list(dict.fromkeys(record_key(str(row["table"]), str(row["record_id"])) for row in rows))
        self.load(keys)
        return [head for key in keys if (head := self._heads[key]) is not None]

    def load_namers(self, records: Iterable[Head]) -> None:
        """Read which operations name these records, all at once; `namer` then asks no more until a flush."""
        targets = [name for record in records for name in names_of(record.table, record.record_id)]
        wanted = [target for target in dict.fromkeys(targets) if target not in self._edges]
        self._edges.update((target, []) for target in wanted)
        for start in range(0, len(wanted), CHUNK):
            query = Query(EDGES, In(Field("target", _S), tuple(wanted[start : start + CHUNK])))
            for row in self.transaction.select(query):
                self._edges[str(row["target"])].append(row)

    def is_named(self, record: Head, after: int, until: int) -> bool:
        """Whether an operation in this open range of sequences names the record in its content."""
        return self.namer(record, until, after) is not None

    def namer(self, record: Head, until: int, after: int = 0) -> str | None:
        """The key of an operation in this open range of sequences that names the record, if there is one."""
        for target in names_of(record.table, record.record_id):
            for head, entry in self._named.get(target, {}).values():
                if (
                    after < entry.sequence < until
                    and entry in head.entries
                    and target in self._names(head, entry)
                ):
                    return entry.key
            for row in self._edges_to(target, after, until):
                namer, operation = str(row["record"]), str(row["operation"])
                if namer == record.key:
                    continue
                changed = self._heads.get(namer)
                if namer not in self._heads or (
                    changed is not None and self._still_names(changed, operation, target)
                ):
                    return operation
        return None

    def _edges_to(self, target: str, after: int, until: int) -> Iterable[Record]:
        known = self._edges.get(target)
        if known is not None:
            return [row for row in known if after < _int(row["sequence"]) < until]
        inside = all_of(equals("target", target, _S), _above("sequence", after), _below("sequence", until))
        return self.transaction.select(Query(EDGES, inside, (Order(Field("sequence", _I)),)))

    def _still_names(self, head: Head, key: str, target: str) -> bool:
        return any(entry.key == key and target in self._names(head, entry) for entry in head.entries)

    def _names(self, head: Head, entry: Entry) -> frozenset[str]:
        schema = self.tables.get(head.table)
        if schema is None or schema.names_none:
            return NO_NAMES
        old, new = before(head, entry), entry.content
        if entry.named is None or entry.named[0] is not old or entry.named[1] is not new:
            entry.named = (old, new, names(schema, head.record_id, old, new))
        return entry.named[2]

    def names_of_entry(self, head: Head, entry: Entry) -> list[str]:
        """Keys of the records that the operation may name, before or after."""
        return named_records(self._names(head, entry), self.tables)

    # ---- changing

    def new_id(self) -> str:
        """A new operation id: the nonce of this opening of the store, and a number that is never reused."""
        self.counters.revision += 1
        return f"{self._nonce}-{self.counters.revision:x}"

    def new_sequence(self) -> int:
        """The next place at the end of the queue."""
        self.counters.sequence += 1
        return self.counters.sequence

    def touch(self, head: Head) -> None:
        """The head changes: it gets a new revision, and is written at flush."""
        self.counters.revision += 1
        head.revision = self.counters.revision
        self.save(head)

    def save(self, head: Head) -> None:
        """Write the head at flush; nothing that a user could have decided on has changed."""
        self._heads[head.key] = self._touched[head.key] = head
        for entry in head.entries:
            for name in self._names(head, entry):
                self._named.setdefault(name, {})[entry.key] = (head, entry)

    def moved(self, head: Head, entry: Entry) -> bool:
        """Whether the operation stands elsewhere, or is of another kind, than where others were told to wait for it."""
        row = self._rows.get(entry.key)
        return row is not None and (row["sequence"] != entry.sequence or row["kind"] != kind_of(head, entry))

    def remove(self, entry: Entry) -> None:
        """The operation leaves the queue; its head no longer holds it."""
        if entry.key in self._rows:
            self._removed[entry.key] = entry

    def set_local(self, table: str, record_id: str, record: Record | None) -> None:
        """The local record becomes this, or goes."""
        self._locals.setdefault(table, {})[record_id] = record
        self._changed.setdefault(table, {})[record_id] = record
        self.changed_ids.setdefault(table, {})[record_id] = None

    def store_copy(self, table: str, record_id: str, copy: Copy) -> None:
        """The local record becomes what the remote holds."""
        self.set_local(table, record_id, dict(copy) if alive(copy) else None)

    # ---- writing

    def flush(self) -> None:
        """Write every row that changed. May be called more than once in a transaction."""
        if self._touched or self._removed or self._changed:
            self._flush_rows()
        if self._count_changes() or self.counters.numbers != self._counted:
            self._counted = self.counters.numbers
            self.transaction.put(META, [self.counters.encode()])

    def _flush_rows(self) -> None:
        puts: dict[str, list[Record]] = {HEADS: [], OPERATIONS: [], EDGES: []}
        drops: dict[str, list[str]] = {HEADS: [], OPERATIONS: [], EDGES: []}
        self.counters.pending -= len(self._removed)
        for key in self._removed:
            self._drop_row(key, drops)
        for head in self._touched.values():
            if head.entries:
                puts[HEADS].append(encode_head(head))
                self._flush_entries(head, puts, drops)
            else:
                drops[HEADS].append(head.key)
                self._heads[head.key] = None
        self._touched, self._removed = {}, {}
        if puts[EDGES] or drops[EDGES]:
            self._edges = {}
        for table, keys in drops.items():
            if keys:
                _ = self.transaction.delete(table, keys)
        for table, rows in puts.items():
            if rows:
                self.transaction.put(table, rows)
        self._flush_locals()

    def _count_changes(self) -> bool:
        """One more for each table whose records this transaction changes; whether one was not counted yet."""
        changed = [table for table, ids in self.changed_ids.items() if ids]
        new = [table for table in (*changed, *self.changed_wholly) if table not in self._noted]
        for table in dict.fromkeys(new):
            self._noted.add(table)
            self.counters.changes[table] = self.counters.changes.get(table, 0) + 1
        return bool(new)

    def _flush_entries(self, head: Head, puts: dict[str, list[Record]], drops: dict[str, list[str]]) -> None:
        for entry in head.entries:
            old = self._rows.get(entry.key)
            named = sorted(self._names(head, entry))
            row = encode_entry(head, entry, named)
            if row == old:
                continue
            if old is None:
                self.counters.pending += 1
            was = _texts(old["names"]) if old else []
            moved = old is not None and old["sequence"] != entry.sequence
            drops[EDGES].extend(f"{entry.key}>{name}" for name in was if name not in named)
            puts[EDGES].extend(
                {
                    "id": f"{entry.key}>{name}",
                    "target": name,
                    "sequence": entry.sequence,
                    "operation": entry.key,
                    "record": head.key,
                }
                for name in named
                if moved or name not in was
            )
            self._rows[entry.key] = row
            puts[OPERATIONS].append(row)

    def _drop_row(self, key: str, drops: dict[str, list[str]]) -> None:
        row = self._rows.pop(key)
        drops[OPERATIONS].append(key)
        drops[EDGES].extend(f"{key}>{name}" for name in _texts(row["names"]))

    def _flush_locals(self) -> None:
        for table, changed in self._changed.items():
            puts = [record for record in changed.values() if record is not None]
            gone = [id for id, record in changed.items() if record is None]
            if gone:
                _ = self.transaction.delete(table, gone)
            if puts:
                self.transaction.put(table, puts)
        self._changed = {}


def _above(field: str, bound: int) -> Compare:
    return Compare("gt", Field(field, _I), Value(bound, _I))


def _below(field: str, bound: int) -> Compare:
    return Compare("lt", Field(field, _I), Value(bound, _I))


def _texts(value: Json) -> list[str]:
    return value if isinstance(value, list) else []


def _int(value: Json) -> int:
    assert isinstance(value, int)
    return value
