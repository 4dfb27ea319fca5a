"""Push: send what is queued, in an order that the remote can accept, and settle what comes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs

from tidesync.answers import sound_outcome, system_fault
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Applied, Denied, NotSent, Outcome, Unknown, Untried
from tidesync.effects import Emit, Handle, Perform, Plan, PushChanges, Transact, then
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    StoreError,
    TransportError,
    Unauthorized,
)
from tidesync.events import Event, Progress, PushFinished, PushStarted
from tidesync.lease import Lease, under_lease
from tidesync.ledger import Ledger
from tidesync.operations import Operation
from tidesync.plans.settle import settle_conflict
from tidesync.query import Expr, Field, In, Order, Query, all_of, equals
from tidesync.queue import describe
from tidesync.records import alive, version_of
from tidesync.reports import OperationError, PushFailed, PushReport
from tidesync.rows import BLOCKED, FAILED, HEADS, OPERATIONS, READY
from tidesync.rules.chain import record_key
from tidesync.sending import Run, Sent, mark, need
from tidesync.session import AbortPush, Attempt, Session, connect
from tidesync.settling import settle_all
from tidesync.values import ColumnType

REMAINING_LIMIT = 100
"""Operations of earlier pushes that a report lists; it counts all of them."""


def push(
    session: Session, tables: Collection[str] | None = None, *, retry_failed: bool = False
) -> Plan[PushReport]:
    """Push under a lease of its own; raises `PushFailed` unless everything that it met went through."""
    report = yield from under_lease(
        session.holder(), lambda lease: push_under(session, lease, tables, retry_failed=retry_failed)
    )
    if not report.ok:
        raise PushFailed(report)
    return report


def push_under(
    session: Session, lease: Lease, tables: Collection[str] | None = None, *, retry_failed: bool = False
) -> Plan[PushReport]:
    """Push under a lease that is held already; returns the report whatever happened at the remote."""
    run = Run(tables=None if tables is None else frozenset(tables))
    try:
        start = yield from Transact(
            lambda transaction, now: _begin(session, lease, transaction, now, run, retry_failed)
        )
        yield from Emit(PushStarted(start.operations))
        for table, record_id in start.conflicts:
            yield from _ask(session, lease, run, table, record_id)
        if start.conflicts or start.ready:
            yield from _send_all(session, lease, run, start.operations)
        report = yield from Transact(lambda transaction, now: _report(session, lease, transaction, now, run))
        if session.handler is not None:
            report = yield from _let_handler_see(session, lease, report)
    except StoreError as error:
        raise PushFailed(PushReport(status="store", pushed=tuple(run.pushed), reason=str(error))) from error
    yield from Emit(PushFinished(report.status, len(report.pushed)))
    return report


@attrs.frozen
class _Start:
    operations: int
    ready: bool
    conflicts: Sequence[tuple[str, str]]


def _begin(
    session: Session, lease: Lease, transaction: StoreTransaction, now: float, run: Run, retry_failed: bool
) -> _Start:
    lease.check(transaction, now)
    queue = session.queue(transaction, now)
    ledger = queue.ledger
    if retry_failed:
        failed = Query(OPERATIONS, _lane(FAILED, run.tables))
        for head in ledger.heads(failed):
            head.entries[0].renew(ledger.new_id())
            ledger.touch(head)
        ledger.flush()
    run.snapshot = ledger.counters.sequence
    if run.tables is not None:
        blocked = transaction.select(Query(OPERATIONS, _lane(BLOCKED, run.tables), fields=("blocker",)))
        need(ledger, run, [str(row["blocker"]) for row in blocked])
        run.again.clear()
    unsettled = Query(HEADS, equals("unsettled", True, ColumnType.BOOLEAN), fields=("table", "record_id"))
    keys = [(str(row["table"]), str(row["record_id"])) for row in transaction.select(unsettled)]
    conflicts = [
        key for key in keys if key[0] in ledger.tables and (run.tables is None or key[0] in run.tables)
    ]
    ready = Query(OPERATIONS, equals("lane", READY, ColumnType.STRING), take=1)
    return _Start(ledger.counters.pending, any(True for _ in transaction.select(ready)), conflicts)


def _lane(lane: str, tables: Collection[str] | None) -> Expr | None:
    scope = None if tables is None else In(Field("table", ColumnType.STRING), tuple(tables))
    return all_of(equals("lane", lane, ColumnType.STRING), scope)


def _ask(session: Session, lease: Lease, run: Run, table: str, record_id: str) -> Plan[None]:
    key = yield from settle_conflict(session, lease, table, record_id)
    if key is not None:
        run.again.append(key)


def _send_all(session: Session, lease: Lease, run: Run, total: int) -> Plan[None]:
    if _stopping(session, run):  # while it waited for the lease
        return
    try:
        remote = yield from connect(session)
    except Unauthorized as error:
        run.stop("authentication", str(error))
        return
    except TransportError as error:
        if not _is_network(error):
            raise
        run.stop("network", str(error), error.retry_after)
        return
    lease.outlast(remote.exchange_timeout)
    run.max_changes = 1 if session.handler is not None else remote.max_changes
    run.max_bytes, run.ordered = remote.max_bytes, remote.ordered
    batch: Sequence[Sent] = yield from Transact(
        lambda transaction, now: _mark(session, lease, transaction, now, run)
    )
    while batch:
        outcomes = yield from _exchange(session, batch, run)
        batch, events = yield from _settle(session, lease, batch, outcomes, run)
        yield from Emit(*events, Progress("push", len(run.pushed), max(total, len(run.pushed))))
        if _stopping(session, run) or run.stopped is not None:
            return
        asks, run.asks = run.asks, []
        for table, record_id in asks:
            yield from _ask(session, lease, run, table, record_id)
        if asks:
            batch = yield from Transact(lambda transaction, now: _mark(session, lease, transaction, now, run))


def _stopping(session: Session, run: Run) -> bool:
    if session.stopping:
        run.stop("caller", "stop() or close() was called")
    return session.stopping


def _is_network(error: TransportError) -> bool:
    return isinstance(error, NotReachable | RemoteUnavailable | ProtocolError)


def _mark(
    session: Session, lease: Lease, transaction: StoreTransaction, now: float, run: Run
) -> Sequence[Sent]:
    lease.check(transaction, now)
    queue = session.queue(transaction, now)
    batch = mark(queue, run)
    _ = queue.close("push")
    return batch


def _settle(
    session: Session, lease: Lease, batch: Sequence[Sent], outcomes: Sequence[Outcome], run: Run
) -> Plan[tuple[Sequence[Sent], list[Event]]]:
    """Settle and mark the next in one transaction; with conflicts to ask about, or at a stop, nothing is marked."""

    def step(transaction: StoreTransaction, now: float) -> tuple[Sequence[Sent], list[Event]]:
        lease.check(transaction, now)
        queue = session.queue(transaction, now)
        readable = [_readable(session, outcome, sent) for outcome, sent in zip(outcomes, batch, strict=True)]
        settle_all(queue, batch, readable, run)
        following = [] if run.asks or run.stopped is not None or session.stopping else mark(queue, run)
        return following, queue.close("push")

    return (yield from Transact(step))


def _exchange(session: Session, batch: Sequence[Sent], run: Run) -> Plan[Sequence[Outcome]]:
    if session.handler is not None:
        return (yield from _handled(session, batch[0], run))
    outcomes = yield from PushChanges([sent.change for sent in batch])
    if len(outcomes) != len(batch):
        raise ProtocolError(
            f"the transport gave {len(outcomes)} outcomes for {len(batch)} changes; they count as in doubt"
        )
    return outcomes


def _readable(session: Session, outcome: Outcome, sent: Sent) -> Outcome:
    """A copy that the table's class could not read is not taken: the record stays as it was sent."""
    if isinstance(outcome, Applied) and alive(outcome.copy):
        table = sent.change.table
        if session.fits[table](outcome.copy) or system_fault(table, outcome.copy):
            return Applied(outcome.version if outcome.version is not None else version_of(outcome.copy))
    return outcome


def _handled(session: Session, sent: Sent, run: Run) -> Plan[Sequence[Outcome]]:
    """Let the handler send: what it may have sent more than once is in doubt from then on."""
    handler = session.handler
    assert handler is not None
    sends = 0
    arrived = False

    def call(perform: Perform) -> Any:
        def send() -> Any:
            nonlocal sends, arrived
            if arrived:
                # This send may find the one before it in effect, and if it is not sent, that one still is.
                sent.was = "attempted"
            sends, arrived = sends + 1, True
            return then(perform(PushChanges([sent.change])), told)

        def told(outcomes: Sequence[Outcome]) -> Outcome:
            nonlocal arrived
            arrived = not isinstance(outcomes[0], NotSent | Denied | Untried)
            return outcomes[0]

        return handler.execute(Attempt(sent.operation, sent.change.attempts), send)

    try:
        outcome: Outcome | None = yield from Handle(call)
    except AbortPush as error:
        run.stop("handler", str(error))
        outcome = Unknown(str(error)) if sends else None
    sent.sends = max(sends, 1)
    if outcome is None and sends and run.stopped is None:
        outcome = Unknown("the handler sent it and returned None: return the outcome that send() gave")
    if outcome is None:
        run.aside.add(sent.key)
        outcome = Untried()
    return [sound_outcome(sent.change, outcome)]


def _report(
    session: Session, lease: Lease, transaction: StoreTransaction, now: float, run: Run
) -> PushReport:
    lease.check(transaction, now)
    ledger = session.queue(transaction, now).ledger
    errors: list[OperationError] = []
    for trouble in run.troubles.values():
        told = trouble.operation
        head = ledger.head(told.table, told.record_id)
        entry = (
            next((entry for entry in head.entries if entry.key == told.key), None)
            if head is not None
            else None
        )
        settled = trouble.status == "conflict" and told.key not in run.aside
        if head is None or entry is None or (settled and not head.in_conflict):
            continue
        server = head.remote if head.remote is not None else head.base
        errors.append(
            OperationError(
                describe(head, entry), trouble.status, trouble.code, trouble.message, trouble.sent, server,
                head.revision, session.resolver,
            )
        )  # fmt: skip
    known = {error.operation.key for error in errors}
    return PushReport(
        status=run.stopped or "complete",
        pushed=tuple(run.pushed),
        errors=tuple(errors),
        remaining=tuple(_remaining(ledger, known)),
        pending=ledger.counters.pending,
        retry_after=run.retry_after,
        reason=run.reason,
    )


def _remaining(ledger: Ledger, known: set[str]) -> list[Operation]:
    order = (Order(Field("sequence", ColumnType.INTEGER)),)
    failed = Query(OPERATIONS, equals("lane", FAILED, ColumnType.STRING), order, take=REMAINING_LIMIT)
    heads = {head.key: head for head in ledger.heads(failed)}
    unsettled = Query(HEADS, equals("unsettled", True, ColumnType.BOOLEAN), take=REMAINING_LIMIT)
    for row in list(ledger.transaction.select(unsettled)):
        head = ledger.head(str(row["table"]), str(row["record_id"]))
        if head is not None and head.in_conflict:
            heads[head.key] = head
    found = [describe(head, head.entries[0]) for head in heads.values() if head.entries[0].key not in known]
    return sorted(found, key=lambda operation: operation.sequence)


def _let_handler_see(session: Session, lease: Lease, report: PushReport) -> Plan[PushReport]:
    """The handler sees the report first; what it settled is reported no more."""
    handler = session.handler
    assert handler is not None
    yield from Handle(lambda _: handler.on_push_complete(report))

    def left(transaction: StoreTransaction, now: float) -> tuple[list[OperationError], int]:
        lease.check(transaction, now)
        ledger = session.queue(transaction, now).ledger
        ledger.load(record_key(error.table, error.record_id) for error in report.errors)
        heads = ((error, ledger.head(error.table, error.record_id)) for error in report.errors)
        still = [error for error, head in heads if head is not None and head.revision == error.revision]
        return still, ledger.counters.pending

    errors, pending = yield from Transact(left)
    return attrs.evolve(report, errors=tuple(errors), pending=pending)
