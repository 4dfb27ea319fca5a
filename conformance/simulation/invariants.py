"""What must be true of a device's own tables after every transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from tidesync.records import Record, alive, decode_copy
from tidesync.rows import EDGES, HEADS, META, OPERATIONS, decode_entry, lane_of
from tidesync.rules.chain import Head, before, kind_of
from tidesync.rules.collapse import vanishes
from tidesync.rules.order import names
from tidesync.schema import TableSchema

Rows: TypeAlias = Callable[[str], Mapping[str, Record]]
"""All rows of a table, by id, as they are committed."""


def broken(rows: Rows, schemas: Mapping[str, TableSchema]) -> Iterator[str]:
    """Every sentence about the system tables that does not hold."""
    operations: Mapping[str, Any] = rows(OPERATIONS)
    heads: Mapping[str, Any] = rows(HEADS)
    edges: Mapping[str, Any] = rows(EDGES)
    meta: Mapping[str, Any] = rows(META)
    sequence, _, pending = meta["counters"]["value"] if "counters" in meta else (0, 0, 0)
    if pending != len(operations):
        yield f"{pending} operations are counted, and {len(operations)} are there"
    owned: list[str] = []
    wanted: set[tuple[str, str]] = set()
    revisions: set[int] = set()
    for key, row in heads.items():
        keys = row["entries"]
        owned += keys
        if not keys:
            yield f"the head of {key} has no operations"
            continue
        if row["revision"] in revisions:
            yield f"the revision of {key} is that of another head"
        revisions.add(row["revision"])
        missing = [each for each in keys if each not in operations]
        if missing:
            yield f"the head of {key} names operations that are not there"
            continue
        head = Head(
            row["table"],
            row["record_id"],
            decode_copy(row["base"]),
            decode_copy(row["remote"]),
            row["revision"],
        )
        head.entries = [decode_entry(operations[each]) for each in keys]
        if head.in_conflict and not alive(head.base) and not alive(head.remote):
            yield f"{key} is in conflict about nothing"
        if row["unsettled"] != (head.remote is not None):
            yield f"{key} is not marked as it is"
        yield from _broken_entries(head, operations, schemas[head.table], sequence)
        for entry in head.entries:
            found = names(schemas[head.table], head.record_id, before(head, entry), entry.content)
            wanted |= {(entry.key, name) for name in found}
        last = head.entries[-1].content
        local = rows(head.table).get(head.record_id)
        shown = (
            None
            if local is None
            else {k: v for k, v in local.items() if k not in ("version", "created_at", "updated_at")}
        )
        if shown != last:
            yield f"{key} is shown as {shown}, and its newest operation says {last}"
    if sorted(owned) != sorted(operations):
        yield "an operation belongs to no head, or to two"
    if {(row["operation"], row["target"]) for row in edges.values()} != wanted:
        yield "the edges are not the names that operations hold"
    for row in edges.values():
        if row["operation"] in operations and operations[row["operation"]]["sequence"] != row["sequence"]:
            yield f"an edge of {row['operation']} has another sequence"


def _broken_entries(
    head: Head, operations: Mapping[str, Any], schema: TableSchema, sequence: int
) -> Iterator[str]:
    """The same of one record's operations; `sequence` is the last that was drawn."""
    for index, entry in enumerate(head.entries):
        found = operations[entry.key]
        if index and entry.state == "attempted":
            yield f"{entry.key} was sent before the operation in front of it"
        if index and entry.sequence <= head.entries[index - 1].sequence:
            yield f"{head.key} holds its operations out of order"
        if entry.sequence > sequence:
            yield f"{entry.key} has a sequence that was never drawn"
        if entry.state == "attempted" and (
            entry.expected is None or entry.fields is None or entry.attempts < 1
        ):
            yield f"{entry.key} was sent and is not frozen"
        if entry.state != "attempted" and vanishes(before(head, entry), entry.content):
            yield f"{entry.key} changes nothing"
        if found["lane"] != lane_of(head, entry):
            yield f"{entry.key} is in the wrong lane"
        if found["kind"] != kind_of(head, entry):
            yield f"{entry.key} is noted as {found['kind']}, and is {kind_of(head, entry)}"
        named = names(schema, head.record_id, before(head, entry), entry.content)
        if frozenset(found["names"]) != named:
            yield f"{entry.key} is noted with other names than it has"
        blocker = operations.get(entry.blocker) if entry.blocker is not None else None
        if entry.blocker is not None and blocker is None:
            yield f"{entry.key} waits for what is gone"
        elif blocker is not None and blocker["sequence"] >= entry.sequence:
            yield f"{entry.key} waits for a later one"
        if index and entry.blocker is None:
            yield f"{entry.key} is behind {head.entries[index - 1].key} and waits for nothing"
