"""Local writes on one queue: what a user's insert, update or delete does to records, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tidesync.errors import InvalidRecord, RecordExists, RecordNotFound, StaleRecord
from tidesync.objects import Table
from tidesync.queue import Queue
from tidesync.records import (
    Record,
    check_id,
    check_record,
    claim_minted,
    content_of,
    new_id,
    same,
    with_system,
)
from tidesync.rows import LINEAGE
from tidesync.rules.chain import record_key
from tidesync.values import name_of

T = TypeVar("T")


def prefetch(queue: Queue, table: str, ids: Sequence[str]) -> None:
    """Read what writes to these records will need, all at once."""
    queue.ledger.load_local(table, ids)
    queue.ledger.load([record_key(table, id) for id in ids])


def prepare(table: Table[Any], given: Any) -> tuple[Record, bool]:
    """The record of an object, checked, and whether its id was made for this insert."""
    table.check_fields(given)
    record = table.to_record(given)
    if record.get("id") in (None, ""):
        record = {**record, "id": new_id()}
    _ = check_record(table.name, record)
    generated = claim_minted(str(record["id"]))
    return record, generated


def insert(queue: Queue, table: Table[T], record: Record, *, generated: bool) -> T:
    """Queue an insert; `RecordExists` if the local store has the id."""
    return insert_all(queue, table, [(record, generated)])[0]


def insert_all(queue: Queue, table: Table[T], prepared: Sequence[tuple[Record, bool]]) -> list[T]:
    """Queue inserts of prepared records: all of them, or none."""
    prefetch(queue, table.name, [str(record["id"]) for record, _ in prepared])
    seen: set[str] = set()
    for record, _ in prepared:
        id = str(record["id"])
        if id in seen or queue.ledger.local(table.name, id) is not None:
            raise RecordExists(table.name, id)
        seen.add(id)
    contents = [(content_of(record) or {}, generated) for record, generated in prepared]
    queue.expect(table.name, contents)
    objects = [table.from_record(content) for content, _ in contents]
    for content, generated in contents:
        queue.write(table.name, str(content["id"]), content, generated=generated)
    return objects


def update(queue: Queue, table: Table[T], given: Any) -> T:
    """Queue an update by a whole object; `StaleRecord` if it comes from a copy that foreign news has outdated."""
    table.check_fields(given)
    record = table.to_record(given)
    id = check_id(table.name, record.get("id"))
    stored = _existing(queue, table.name, id)
    _refuse_stale(queue, table.name, id, record, stored)
    return _replace(queue, table, id, stored, table.overlay(given, stored))


def change(queue: Queue, table: Table[T], id: str, changes: Mapping[str, object]) -> T:
    """Queue an update of some fields."""
    stored = _existing(queue, table.name, check_id(table.name, id))
    return _replace(queue, table, id, stored, table.overlay(changes, stored))


def delete(queue: Queue, table: str, id: str, given: Record | None = None) -> None:
    """Queue a delete; an object that carries a version is checked as for an update."""
    stored = _existing(queue, table, check_id(table, id))
    if given is not None:
        _refuse_stale(queue, table, id, given, stored)
    queue.write(table, id, None)


def _replace(queue: Queue, table: Table[T], id: str, stored: Record, record: Record) -> T:
    content, old = content_of(record), content_of(stored)
    assert content is not None
    assert old is not None
    if record.get("id") != id:
        raise InvalidRecord(
            table.name, "id", name_of(record.get("id")), "an id never changes: insert a new record"
        )
    _ = check_record(table.name, content)
    # The class may refuse what results: that must show before anything changes.
    changed = table.from_record(with_system(content, stored))
    if not same(content, old):
        queue.write(table.name, id, content)
    return changed


def _existing(queue: Queue, table: str, id: str) -> Record:
    stored = queue.ledger.local(table, id)
    if stored is None:
        raise RecordNotFound(table, id)
    return stored


def _refuse_stale(queue: Queue, table: str, id: str, given: Record, stored: Record) -> None:
    """Versions that differ from the stored one by our own pushes only are not stale."""
    version, current = given.get("version"), stored.get("version")
    if version is None or version == current:
        return
    row = queue.ledger.transaction.get(LINEAGE, [record_key(table, id)])[0]
    own = row["versions"] if row is not None and row["current"] == current else []
    assert isinstance(own, list)
    if version not in own:
        raise StaleRecord(table, id, given, stored)
