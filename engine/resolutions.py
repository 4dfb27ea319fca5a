"""What a user may do to a queued operation: settle a conflict, mend a refusal, retry, drop."""

from __future__ import annotations

from tidesync.conflicts import Conflict, Merge, Resolution
from tidesync.errors import StaleResolution, UsageError
from tidesync.ledger import Ledger
from tidesync.operations import Operation
from tidesync.plans.settle import apply_answer, conflict_of
from tidesync.query import Query, equals
from tidesync.queue import Queue
from tidesync.records import Record, content_of, with_system
from tidesync.reports import OperationError
from tidesync.rows import HEADS
from tidesync.rules.chain import Entry, Head
from tidesync.values import ColumnType


def conflicts(ledger: Ledger) -> list[Conflict]:
    """The records in conflict, by table and id."""
    unsettled = Query(HEADS, equals("unsettled", True, ColumnType.BOOLEAN))
    keys = [str(row["id"]) for row in ledger.transaction.select(unsettled)]
    ledger.load(keys)
    heads = [head for key in keys if (head := ledger.head_at(key)) is not None and head.in_conflict]
    return [conflict_of(head) for head in sorted(heads, key=lambda head: head.key)]


def settle(queue: Queue, conflict: Conflict, answer: Resolution) -> None:
    """Apply a resolution to a conflict that was listed; `StaleResolution` if the record changed since."""
    head = queue.ledger.head(conflict.table, conflict.record_id)
    if head is None or not head.in_conflict or head.revision != conflict.revision:
        raise StaleResolution(conflict.table, conflict.record_id)
    apply_answer(queue, head, answer)


def retry(queue: Queue, operation: Operation) -> None:
    """Send a refused operation again with the next push, under a new id."""
    head, entry = _find(queue, operation)
    if head is None or entry is None or entry.id != operation.id:
        raise StaleResolution(operation.table, operation.record_id)
    if head.in_conflict and entry is head.entries[0]:
        raise UsageError(
            f"{operation.table}/{operation.record_id} is in conflict: "
            "resolve it, as with ctx.resolve(conflict, KeepLocal())"
        )
    if entry.state == "failed":
        entry.renew(queue.ledger.new_id())
        queue.finish(head)


def discard(queue: Queue, operation: Operation, *, force: bool = False) -> None:
    """Drop all that is queued on the operation's record, which becomes what is known of the remote.

    What may be at the remote is dropped with `force` only: else `UsageError`. `StaleResolution` if the operation
    changed since.
    """
    head, entry = _find(queue, operation)
    if head is None or entry is None or entry.id != operation.id:
        raise StaleResolution(operation.table, operation.record_id)
    if not force and any(each.state == "attempted" for each in head.entries):
        raise UsageError(
            f"{operation.table}/{operation.record_id} may be at the remote already, and dropping it here takes nothing "
            "back there: a push finds out"
        )
    queue.discard(head)


def resolve_error(queue: Queue, error: OperationError, how: str, record: Record | None) -> None:
    """Apply one of the resolutions of an `OperationError`; `StaleResolution` if its operation changed since."""
    head, entry = _find(queue, error.operation)
    if head is None or entry is None or entry.id != error.operation.id or head.revision != error.revision:
        raise StaleResolution(error.table, error.record_id)
    if how == "retry":
        retry(queue, error.operation)
    elif how == "cancel_and_discard":
        queue.discard(head)
    elif how == "cancel_and_update":
        server = head.remote if head.remote is not None else head.base
        queue.discard(head)
        content = content_of(record)
        shown = None if content is None else with_system(content, server)
        queue.ledger.set_local(head.table, head.record_id, shown)
    elif head.in_conflict:
        apply_answer(queue, head, Merge(record))
    else:
        queue.write(head.table, head.record_id, content_of(record))


def _find(queue: Queue, operation: Operation) -> tuple[Head | None, Entry | None]:
    head = queue.ledger.head(operation.table, operation.record_id)
    entries = head.entries if head is not None else []
    return head, next((entry for entry in entries if entry.key == operation.key), None)


def under_id(record: Record, record_id: str) -> Record:
    """The record of a resolution, under the id that it is about."""
    if record.get("id") not in (None, record_id):
        raise UsageError(f"a resolution keeps the id {record_id!r}, and this record has {record['id']!r}")
    return {**record, "id": record_id}
