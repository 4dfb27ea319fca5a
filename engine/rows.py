"""The engine's own tables, and what their rows say.

They are ordinary tables of the store, so a store author implements nothing for them.

| table | one row per |
|---|---|
| `__operations` | queued operation, under a key that never changes |
| `__heads` | record with queued operations |
| `__edges` | name that an operation's content holds of another record |
| `__lineage` | record that our own pushes led through several versions |
| `__cursors` | named query: how far its pulls came |
| `__seen` | record delivered inside the window that the next pull reads again |
| `__quarantine` | record that could not be stored, and why |
| `__meta` | counters, lease, remote's identity, how tables are declared |
"""

from __future__ import annotations

from typing import Any

from tidesync.contracts.transport import Absent, Anything, Expected, Version
from tidesync.operations import Refusal, encode_refusal
from tidesync.records import Json, Record, Tombstone, encode_copy
from tidesync.rules.chain import Entry, Head, kind_of
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

OPERATIONS, HEADS, EDGES, META = "__operations", "__heads", "__edges", "__meta"
LINEAGE, CURSORS, SEEN, QUARANTINE = "__lineage", "__cursors", "__seen", "__quarantine"
REMOTE, COUNTERS = "is_remote", "counters"
READY, BLOCKED, FAILED, UNSETTLED = "ready", "blocked", "failed", "unsettled"

_S, _I, _F, _B, _J = (
    ColumnType.STRING, ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.BOOLEAN, ColumnType.JSON,
)  # fmt: skip


def _system(name: str, indexes: tuple[tuple[str, ...], ...] = (), /, **columns: ColumnType) -> TableSchema:
    return TableSchema(name, tuple(Column(c, t) for c, t in columns.items()), references={}, indexes=indexes)


META_TABLE: TableSchema = _system(META, value=_J)
"""Facts about the store; the row `REMOTE` is in a remote's, and in no application's."""

SYSTEM_TABLES: tuple[TableSchema, ...] = (
    _system(
        OPERATIONS, (("lane", "sequence"), ("blocker",), ("table", "sequence")),
        sequence=_I, operation=_S, table=_S, record_id=_S, kind=_S, content=_J, state=_S, attempts=_I, error=_J,
        fields=_J, expected=_J, sent_kind=_S, generated=_B, blocker=_S, lane=_S, created=_F, names=_J,
        last_attempt=_F,
    ),
    _system(
        HEADS, (("unsettled",), ("table",)),
        table=_S, record_id=_S, base=_J, remote=_J, revision=_I, entries=_J, unsettled=_B,
    ),
    _system(EDGES, (("target", "sequence"),), target=_S, sequence=_I, operation=_S, record=_S),
    META_TABLE,
    _system(LINEAGE, current=_S, versions=_J),
    _system(CURSORS, (("table",),), table=_S, name=_S, query=_J, bookmark=_J),
    _system(SEEN, (("cursor", "at"),), cursor=_S, at=_S, version=_S),
    _system(QUARANTINE, (("table",),), table=_S, record_id=_S, raw=_J, reason=_S, at=_F),
)  # fmt: skip


def encode_expected(expected: Expected | None) -> Json:
    """An expectation as JSON."""
    match expected:
        case None:
            return None
        case Version(version):
            return ["version", version]
        case Tombstone(version):
            return ["tombstone", version]
        case Absent():
            return ["absent"]
        case Anything():
            return ["anything"]


def decode_expected(value: Json) -> Expected | None:
    """The inverse of `encode_expected`."""
    match value:
        case ["version", str(version)]:
            return Version(version)
        case ["tombstone", version]:
            return Tombstone(version)
        case ["absent"]:
            return Absent()
        case ["anything"]:
            return Anything()
        case _:
            return None


def lane_of(head: Head, entry: Entry) -> str:
    """The index that push reads: what may be sent, and why the others may not.

    They were refused, wait for one operation, or are in conflict: so a push never meets what is parked.
    """
    if entry.state == "failed":
        return FAILED
    if entry.blocker is not None:
        return BLOCKED
    return UNSETTLED if head.in_conflict and head.entries[0] is entry else READY


def encode_head(head: Head) -> Record:
    """A head as a row of `__heads`."""
    return {
        "id": head.key, "table": head.table, "record_id": head.record_id, "base": encode_copy(head.base),
        "remote": encode_copy(head.remote), "revision": head.revision,
        "entries": [entry.key for entry in head.entries], "unsettled": head.remote is not None,
    }  # fmt: skip


def encode_entry(head: Head, entry: Entry, named: list[str]) -> Record:
    """An operation as a row of `__operations`."""
    return {
        "id": entry.key, "sequence": entry.sequence, "operation": entry.id, "table": entry.table,
        "record_id": entry.record_id, "kind": kind_of(head, entry), "content": entry.content, "state": entry.state,
        "attempts": entry.attempts, "error": encode_refusal(entry.error),
        "fields": None if entry.fields is None else list(entry.fields), "expected": encode_expected(entry.expected),
        "sent_kind": entry.sent_kind, "generated": entry.generated, "blocker": entry.blocker,
        "lane": lane_of(head, entry), "created": entry.created, "names": [*named],
        "last_attempt": entry.last_attempt,
    }  # fmt: skip


def decode_entry(row: Record) -> Entry:
    """The inverse of `encode_entry`; what an operation may lack, its row may lack."""
    found: dict[str, Any] = row  # rows of this table are written by encode_entry alone
    error, fields = found.get("error"), found.get("fields")
    return Entry(
        found["id"], found["sequence"], found["operation"], found["table"], found["record_id"],
        found.get("content"), bool(found.get("generated")), found["state"], found["attempts"],
        None if error is None else Refusal(error["code"], error["message"]),
        None if fields is None else tuple(fields), decode_expected(found.get("expected")), found.get("sent_kind"),
        found.get("blocker"), found.get("created", 0.0), found.get("last_attempt"),
    )  # fmt: skip
