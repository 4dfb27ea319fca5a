"""How an authority keeps its tables on a store: each row's hidden fields, and its own counters.

Each declared table is one table of the store, whose rows also carry two hidden fields: `_sequence`, the row's
place in the order of commits, and `_deleted`. A deleted row keeps its last content, for undelete.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import ConfigurationError, StoreClosed, StoreTooNew
from tidesync.query import Query, equals
from tidesync.records import SYSTEM_FIELDS, Copy, Json, Record, Tombstone, version_of
from tidesync.rows import META_TABLE, REMOTE
from tidesync.schema import Column, TableSchema
from tidesync.transports.trails import TRAILS
from tidesync.values import ColumnType

SEQUENCE: Final = "_sequence"
DELETED: Final = "_deleted"
HIDDEN: Final = frozenset((SEQUENCE, DELETED))
LIVE: Final = equals(DELETED, False, ColumnType.BOOLEAN)
DEAD: Final = equals(DELETED, True, ColumnType.BOOLEAN)

META: Final = "__authority"
REMEMBERED: Final = "__remembered"
EPOCHS: Final = "__epochs"
"""A row is an epoch that ended, and the last number that was drawn in it."""
OWN_TABLES: Final = (
    TableSchema(META, (), {}),
    TableSchema(REMEMBERED, (Column("at", ColumnType.DATETIME),), {}, (("at",),)),
    TableSchema(EPOCHS, (), {}),
    TRAILS,
)
FORMAT: Final = 1
_EPOCH: Final = re.compile(r"[0-9a-f]{32}\Z")


def moment(seconds: float) -> str:
    """Seconds since 1970 as canonical datetime text, cut to whole milliseconds: no wire loses any of it.

    Before 1970 nothing happened: what lies so far back is its first moment.
    """
    return datetime.fromtimestamp(max(seconds, 0.0), UTC).isoformat(timespec="milliseconds")[:23] + "000Z"


def stored(schema: TableSchema, *, foreign_keys: bool) -> TableSchema:
    """The table as the store keeps it: with hidden columns, and indexes for what is asked here."""
    columns = [attrs.evolve(column, wire=column.name) for column in schema.columns]
    columns += [Column(SEQUENCE, ColumnType.INTEGER), Column(DELETED, ColumnType.BOOLEAN)]
    references = (schema.references or {}) if foreign_keys else {}
    # Clients of plain REST follow updated_at.
    needed = [(SEQUENCE,), ("updated_at",), *((name, DELETED, SEQUENCE) for name in references)]
    indexes = dict.fromkeys((*needed, *schema.indexes))
    return TableSchema(schema.name, tuple(columns), schema.references, tuple(indexes))


def copy_of(row: Record | None) -> Copy:
    """What others may see of a row: the record without hidden fields, a tombstone, or nothing."""
    if row is None:
        return None
    if row[DELETED]:
        return Tombstone(version_of(row))
    return {key: value for key, value in row.items() if key not in HIDDEN}


def content_in(row: Record) -> Record:
    """The content of a row, without system fields and hidden ones."""
    return {key: value for key, value in row.items() if key not in SYSTEM_FIELDS and key not in HIDDEN}


@attrs.frozen
class Meta:
    """The authority's counters, one row of its store: read and written in the transaction that uses them.

    `epoch` is drawn at each opening, and says which history the numbers since then belong to: a store that was
    restored from a backup goes on in another one. `sequence` is the last number drawn, `clock` the latest time
    written, `fences` by table the number of the last tombstone that was forgotten. `trails` by table: the number
    after which all that was left is kept, for tables that were followed through a view.
    """

    identity: str
    epoch: str = ""
    sequence: int = 0
    clock: str = ""
    fences: Mapping[str, int] = attrs.field(factory=dict[str, int])
    trails: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def write(self, transaction: StoreTransaction) -> None:
        """Put the row."""
        row: Record = {"id": "meta", "format": FORMAT, "identity": self.identity, "epoch": self.epoch}
        row |= {"sequence": self.sequence, "clock": self.clock}
        row |= {"fences": dict(self.fences), "trails": dict(self.trails)}
        transaction.put(META, [row])


def find_meta(transaction: StoreTransaction) -> Meta | None:
    """The counters, None where the store has none yet; `StoreTooNew` for another format."""
    row = transaction.get(META, ["meta"])[0]
    match row and {"trails": {}, "epoch": "", **row}:
        case None:
            return None
        case {
            "format": 1,
            "identity": str(who),
            "epoch": str(epoch),
            "sequence": int(last),
            "clock": str(clock),
            "fences": dict(fences),
            "trails": dict(trails),
        }:
            return Meta(who, epoch, last, clock, fences, trails)
        case row:
            found = row.get("format")
            raise StoreTooNew(
                f"the remote's store has format {found!r}, and this tidesync reads {FORMAT}: upgrade it",
                found if isinstance(found, int) else 0,
                FORMAT,
            )


def check_owner(store: Store) -> None:
    """Open the store with its facts alone; `ConfigurationError` if a context keeps its records in it."""
    store.open([META_TABLE])
    with store.transaction(write=False) as transaction:
        facts = {str(row["id"]) for row in transaction.select(Query(META_TABLE.name))}
    if facts and REMOTE not in facts:
        raise ConfigurationError(f"{store!r:.200} is a device's own: give the remote another store")


def own(transaction: StoreTransaction) -> None:
    """Note that the store is a remote's, so that no context takes it for its own."""
    transaction.put(META_TABLE.name, [{"id": REMOTE, "value": True}])


def begin_epoch(transaction: StoreTransaction, meta: Meta, epoch: str | None = None) -> None:
    """Write the counters in an epoch of their own, or in this one, and how far the one before went."""
    if meta.epoch and meta.epoch != epoch:
        transaction.put(EPOCHS, [{"id": meta.epoch, "last": meta.sequence}])
    attrs.evolve(meta, epoch=epoch or uuid.uuid4().hex).write(transaction)


def forget_epochs(transaction: StoreTransaction, meta: Meta) -> None:
    """Write the counters in an epoch of their own, which goes on from no other."""
    _ = transaction.delete_where(Query(EPOCHS))
    attrs.evolve(meta, epoch=uuid.uuid4().hex).write(transaction)


def has_commit(transaction: StoreTransaction, meta: Meta, epoch: Json, number: int) -> bool:
    """Whether the store's own history has the commit of this number, of this epoch."""
    if number > meta.sequence or not isinstance(epoch, str):
        return False
    if epoch == meta.epoch:
        return True
    ended = transaction.get(EPOCHS, [epoch])[0] if _EPOCH.match(epoch) else None
    last = None if ended is None else ended["last"]
    return isinstance(last, int) and number <= last


def read_meta(transaction: StoreTransaction) -> Meta:
    """The counters; `StoreClosed` if the authority was never opened on this store."""
    meta = find_meta(transaction)
    if meta is None:
        raise StoreClosed("the authority is not open: use `with Authority(...)`, or call open()")
    return meta
