"""Pull: bring what others changed into the local store, page by page, each with its cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import attrs

from tidesync import arriving
from tidesync.arriving import Arrival
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import CursorGuarantee, Page, PullRequest, TransportCapabilities
from tidesync.effects import Emit, Plan, PullPage, Transact
from tidesync.encoding import decode_query, encode_query
from tidesync.errors import ProtocolError, Unsupported
from tidesync.events import Event, PageStored, Progress, PullFinished, PullStarted
from tidesync.lease import Lease, under_lease
from tidesync.plans.push import push_under
from tidesync.plans.settle import settle_conflict
from tidesync.predicate import matcher
from tidesync.query import Query, equals, fields_in
from tidesync.records import Json, Record
from tidesync.reports import PullReport, PushFailed, PushReport
from tidesync.rows import OPERATIONS
from tidesync.rules.cursors import Bookmark, Trail, overlap_needed
from tidesync.session import Session, connect
from tidesync.values import ColumnType

Push: TypeAlias = Literal["context", "table", "none"]
Departures: TypeAlias = Literal["keep", "remove"]


@attrs.frozen(kw_only=True)
class Pull:
    """What is to be pulled, and how: as `SyncContext.pull` says."""

    query: Query
    name: str | None = None
    departures: Departures = "keep"
    reconcile: bool = False
    push: Push = "context"
    resync: bool = False
    parameters: dict[str, str] = attrs.field(factory=dict[str, str])


def pull(session: Session, wanted: Pull) -> Plan[PullReport]:
    """Pull under a lease of its own, after pushing; raises `PushFailed` if that push was stopped."""
    return (yield from under_lease(session.holder(), lambda lease: _pull(session, lease, wanted)))


def _pull(session: Session, lease: Lease, wanted: Pull) -> Plan[PullReport]:
    table = wanted.query.table
    where = wanted.query.where
    arrival = Arrival(table, wanted.name, encode_query(Query(table, where)), where, session.fits[table])
    start = yield from Transact(lambda transaction, now: _begin(lease, transaction, now, arrival))
    pushed = yield from _push_first(session, lease, wanted)
    yield from Emit(PullStarted(table, wanted.name))
    remote = yield from connect(session)
    lease.outlast(remote.exchange_timeout)
    if wanted.departures == "remove" and table not in remote.departures:
        raise Unsupported(
            f"this remote does not tell which records left a query: pull {table} with reconcile=True instead"
        )
    arrival.overlap = overlap_needed(remote) if wanted.name is not None else 0.0
    incremental = wanted.name is not None and remote.cursor > CursorGuarantee.FULL_SCAN
    if wanted.resync:
        start = yield from Transact(lambda transaction, now: _begin_anew(lease, transaction, now, arrival))
    arrival.bookmark = start if incremental or wanted.resync else Bookmark(owes=start.owes)
    began = yield from _pages(session, lease, wanted, arrival, remote, incremental)
    yield from _finish(session, lease, wanted, arrival, began)
    if (wanted.reconcile or arrival.bookmark.owes) and not session.stopping:
        yield from _reconcile(session, lease, wanted, arrival, remote)
    yield from Emit(PullFinished(table, wanted.name, arrival.records, arrival.deleted + arrival.departed))
    return PullReport(
        table=table, name=wanted.name, records=arrival.records, deleted=arrival.deleted, departed=arrival.departed,
        pages=arrival.pages, conflicts=arrival.conflicts, total=arrival.total,
        quarantined=dict(arrival.quarantined), push=pushed,
    )  # fmt: skip


def _begin(lease: Lease, transaction: StoreTransaction, now: float, arrival: Arrival) -> Bookmark:
    lease.check(transaction, now)
    return arriving.read_bookmark(transaction, arrival)


def _begin_anew(lease: Lease, transaction: StoreTransaction, now: float, arrival: Arrival) -> Bookmark:
    """Noted before a page is asked for: if this pull is interrupted, the next one begins anew, and reconciles."""
    lease.check(transaction, now)
    arrival.bookmark = Bookmark(owes=True)
    arriving.write_bookmark(transaction, arrival)
    return arrival.bookmark


def _push_first(session: Session, lease: Lease, wanted: Pull) -> Plan[PushReport | None]:
    """Push what is queued; a push that completed with some operations refused does not stop the pull."""
    if wanted.push == "none":
        return None
    table = wanted.query.table
    only = {table} if wanted.push == "table" else None

    def queued(transaction: StoreTransaction, now: float) -> bool:
        lease.check(transaction, now)
        where = None if only is None else equals("table", table, ColumnType.STRING)
        return bool(list(transaction.select(Query(OPERATIONS, where, take=1))))

    if not (yield from Transact(queued)):
        return None
    report = yield from push_under(session, lease, only)
    if report.status != "complete":
        raise PushFailed(report)
    return report


# ---- pages


def _pages(
    session: Session,
    lease: Lease,
    wanted: Pull,
    arrival: Arrival,
    remote: TransportCapabilities,
    incremental: bool,
) -> Plan[str | None]:
    """Read page after page; returns the remote's clock when this pull began, as far as it tells."""
    began = None if arrival.bookmark.complete else arrival.bookmark.began
    resumed = incremental and arrival.bookmark.complete and arrival.bookmark.cursor is not None
    first = True
    cursor = arrival.bookmark.cursor
    # Behind a window that is read again, the same cursor may well be the right one.
    trail = Trail() if arrival.overlap and resumed else Trail(cursor)
    while True:
        request = PullRequest(
            query=wanted.query, cursor=cursor, limit=min(session.page_size, remote.page_limit),
            overlap=arrival.overlap if first and resumed else 0.0, total=first and remote.total,
            departures=wanted.departures == "remove", incremental=incremental, parameters=wanted.parameters,
        )  # fmt: skip
        page = yield from PullPage(request)
        if first and began is None:
            began = page.clock
            arrival.bookmark = attrs.evolve(arrival.bookmark, began=began)
        yield from _store(session, lease, arrival, page)
        if not page.more or session.stopping:
            return began
        cursor, first = _next(wanted, page, trail), False


def _next(wanted: Pull, page: Page, trail: Trail) -> Json:
    if trail.returns(page.cursor):
        raise ProtocolError(
            f"the remote announces more of {wanted.query.table} and does not move: this pull would not end"
        )
    return page.cursor


def _store(session: Session, lease: Lease, arrival: Arrival, page: Page) -> Plan[None]:
    before = arrival.records + arrival.deleted

    def step(transaction: StoreTransaction, now: float) -> tuple[Sequence[tuple[str, str]], list[Event]]:
        lease.check(transaction, now)
        queue = session.queue(transaction, now)
        asks = arriving.store_page(queue, arrival, page)
        return asks, queue.close("pull")

    asks, events = yield from Transact(step)
    stored = arrival.records + arrival.deleted
    total = None if arrival.total is None else max(arrival.total, arrival.read)
    yield from Emit(
        *events,
        PageStored(arrival.table, stored - before, len(page.tombstones)),
        # What was known already, and only came again for the overlap, is part of the total.
        Progress("pull", arrival.read, total, arrival.table),
    )
    for table, record_id in asks:
        _ = yield from settle_conflict(session, lease, table, record_id)


def _finish(session: Session, lease: Lease, wanted: Pull, arrival: Arrival, began: str | None) -> Plan[None]:
    """The last page is stored: records that departed go, and the cursor counts as complete."""

    def step(transaction: StoreTransaction, now: float) -> list[Event]:
        lease.check(transaction, now)
        queue = session.queue(transaction, now)
        if arrival.cursor_key is not None and wanted.departures == "remove":
            ids = arriving.departed_ids(transaction, arrival)
            if ids:
                _ = arriving.drop(queue, arrival, ids, _wanted_by_others(transaction, wanted))
                arriving.forget_departed(transaction, arrival, ids)
        if not session.stopping:
            arriving.complete(queue, arrival, began)
        return queue.close("pull")

    events = yield from Transact(step)
    yield from Emit(*events)


def _wanted_by_others(transaction: StoreTransaction, wanted: Pull) -> Callable[[Record], bool]:
    """Whether another named query of the table wants a record."""
    others = [
        matcher(decode_query(str(row["query"])).where)
        for row in arriving.cursors_of(transaction, wanted.query.table)
        if row["name"] != wanted.name
    ]
    return lambda record: any(matches(record) for matches in others)


# ---- reconcile


def _reconcile(
    session: Session, lease: Lease, wanted: Pull, arrival: Arrival, remote: TransportCapabilities
) -> Plan[None]:
    """Compare the full lists of ids: fetch what is missing here, drop what is gone there."""
    there = yield from _remote_ids(wanted, remote)
    missing, gone = yield from Transact(
        lambda transaction, now: _compare(lease, transaction, now, wanted, there)
    )
    for start in range(0, len(missing), arriving.CHUNK):
        ids = tuple(missing[start : start + arriving.CHUNK])
        yield from _fetch(session, lease, wanted, arrival, ids)

    def step(transaction: StoreTransaction, now: float) -> list[Event]:
        lease.check(transaction, now)
        queue = session.queue(transaction, now)
        _ = arriving.drop(queue, arrival, gone, _wanted_by_others(transaction, wanted))
        if arrival.bookmark.owes:
            arrival.bookmark = attrs.evolve(arrival.bookmark, owes=False)
            arriving.write_bookmark(transaction, arrival)
        return queue.close("pull")

    events = yield from Transact(step)
    yield from Emit(*events)


def _remote_ids(wanted: Pull, remote: TransportCapabilities) -> Plan[set[str]]:
    ids: set[str] = set()
    cursor: Json = None
    trail = Trail(cursor)
    plain = attrs.evolve(wanted.query, order=(), skip=0, take=None, fields=None)
    while True:
        request = PullRequest(
            query=plain, cursor=cursor, limit=remote.page_limit, deleted=False, incremental=False,
            fields=("id", "version", *sorted(fields_in(plain.where))), parameters=wanted.parameters,
        )  # fmt: skip
        page = yield from PullPage(request)
        matches = matcher(None if page.exact else plain.where)
        ids.update(
            id for record in page.records if isinstance(id := record.get("id"), str) and matches(record)
        )
        if not page.more:
            return ids
        cursor = _next(wanted, page, trail)


def _compare(
    lease: Lease, transaction: StoreTransaction, now: float, wanted: Pull, there: set[str]
) -> tuple[list[str], list[str]]:
    lease.check(transaction, now)
    table = wanted.query.table
    here: set[str] = set()
    ids = arriving.local_ids(transaction, table, wanted.query.where, None)
    while ids:
        here.update(ids)
        ids = arriving.local_ids(transaction, table, wanted.query.where, ids[-1])
    return sorted(there - here), sorted(here - there)


def _fetch(
    session: Session, lease: Lease, wanted: Pull, arrival: Arrival, ids: tuple[str, ...]
) -> Plan[None]:
    cursor: Json = None
    trail = Trail(cursor)
    while True:
        request = PullRequest(
            query=Query(wanted.query.table), cursor=cursor, limit=len(ids), ids=ids, incremental=False,
            deleted=False, parameters=wanted.parameters,
        )  # fmt: skip
        page = yield from PullPage(request)
        aside = attrs.evolve(arrival, name=None)  # the cursor of the pull does not move
        yield from _store(session, lease, aside, page)
        arrival.records, arrival.deleted = aside.records, aside.deleted
        arrival.pages, arrival.read, arrival.conflicts = aside.pages, aside.read, aside.conflicts
        if not page.more:
            return
        cursor = _next(wanted, page, trail)
