"""Purge: remove records from the local store only, never with operations that the remote has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from tidesync import arriving
from tidesync.contracts.store import StoreTransaction
from tidesync.effects import Emit, Plan, Transact
from tidesync.errors import PurgeBlocked
from tidesync.events import Event, Purged
from tidesync.lease import Lease, under_lease
from tidesync.ledger import Ledger
from tidesync.operations import Operation
from tidesync.plans.push import push_under
from tidesync.predicate import matcher
from tidesync.query import Field, In, Query, equals
from tidesync.queue import describe
from tidesync.records import alive, with_system
from tidesync.rows import HEADS, OPERATIONS
from tidesync.rules.chain import Head, current, record_key
from tidesync.session import Session
from tidesync.values import ColumnType


@attrs.frozen(kw_only=True)
class PurgeReport:
    """What a purge removed: records, and with `force` the operations that were dropped with them.

    `orphans` are queued operations that waited for a dropped one: their parent will not reach the remote.
    """

    table: str
    records: int = 0
    operations: Sequence[Operation] = ()
    orphans: Sequence[Operation] = ()


def purge(
    session: Session, query: Query, *, name: str | None = None, force: bool = False
) -> Plan[PurgeReport]:
    """Purge under a lease of its own; `PurgeBlocked` if operations remain, and nothing changed."""
    return (
        yield from under_lease(session.holder(), lambda lease: _purge(session, lease, query, name, force))
    )


def _purge(session: Session, lease: Lease, query: Query, name: str | None, force: bool) -> Plan[PurgeReport]:
    def blocked(transaction: StoreTransaction, now: float) -> bool:
        lease.check(transaction, now)
        return bool(_queued(session.queue(transaction, now).ledger, query))

    if not force and (yield from Transact(blocked)):
        _ = yield from push_under(session, lease, {query.table})
    report, events = yield from Transact(
        lambda transaction, now: _remove(session, lease, transaction, now, query, name, force)
    )
    yield from Emit(*events, Purged(query.table, report.records))
    return report


def _queued(ledger: Ledger, query: Query) -> list[Head]:
    """Heads whose base or local record matches: a record deleted here has no local record any more."""
    matches = matcher(query.where)
    rows = list(ledger.transaction.select(Query(HEADS, equals("table", query.table, ColumnType.STRING))))
    ledger.load(str(row["id"]) for row in rows)
    found: list[Head] = []
    for row in rows:
        head = ledger.head_at(str(row["id"]))
        content = current(head) if head is not None else None
        if head is not None and (
            (alive(head.base) and matches(head.base))
            or (content is not None and matches(with_system(content, head.base)))
            or query.where is None
        ):
            found.append(head)
    return found


def _remove(
    session: Session,
    lease: Lease,
    transaction: StoreTransaction,
    now: float,
    query: Query,
    name: str | None,
    force: bool,
) -> tuple[PurgeReport, list[Event]]:
    lease.check(transaction, now)
    queue = session.queue(transaction, now)
    ledger = queue.ledger
    heads = _queued(ledger, query)
    if heads and not force:
        raise PurgeBlocked(query.table, sum(len(head.entries) for head in heads))
    dropped = _in_order(describe(head, entry) for head in heads for entry in head.entries)
    orphans = _waiting_for(ledger, {operation.key for operation in dropped})
    records = sum(current(head) is not None for head in heads)
    for head in heads:
        queue.discard(head)
        ledger.set_local(head.table, head.record_id, None)
    queue.relook()
    unqueued = transaction.delete_where(attrs.evolve(query, fields=None))
    if unqueued:
        ledger.changed_wholly[query.table] = None
    events = queue.close("purge")
    records += unqueued
    if name is not None:
        arriving.forget_cursor(transaction, record_key(query.table, name))
    elif query.where is None:
        for row in arriving.cursors_of(transaction, query.table):
            arriving.forget_cursor(transaction, str(row["id"]))
    return PurgeReport(table=query.table, records=records, operations=dropped, orphans=orphans), events


def _waiting_for(ledger: Ledger, keys: set[str]) -> list[Operation]:
    if not keys:
        return []
    waiting = Query(OPERATIONS, In(Field("blocker", ColumnType.STRING), tuple(sorted(keys))))
    found = _in_order(describe(head, entry) for head in ledger.heads(waiting) for entry in head.entries)
    return [operation for operation in found if operation.blocker in keys and operation.key not in keys]


def _in_order(operations: Iterable[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda operation: operation.sequence)
