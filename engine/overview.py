"""What a store holds, for whoever looks at an application's store from outside.

It needs neither the application's classes nor its remote: the store itself tells its tables. Looking is one read
transaction; what may be done to the queue is one write transaction, and follows the rules of `resolutions.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from tidesync import resolutions
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import StaleResolution, StoreCorrupt, UsageError
from tidesync.holder import gone, process_of
from tidesync.ledger import Ledger
from tidesync.operations import Kind, Operation
from tidesync.query import Field, Order, Query, equals
from tidesync.queue import Queue, describe
from tidesync.records import Copy, Record
from tidesync.rows import CURSORS, FAILED, HEADS, META, OPERATIONS, QUARANTINE
from tidesync.upgrade import declared_tables
from tidesync.values import ColumnType

Standing: TypeAlias = Literal["pending", "attempted", "failed", "conflict", "parked"]
"""How an operation stands: it goes with the next push, may be at the remote already, was refused, is in conflict, or
waits behind one that was refused or is in conflict, so that no push will send it before that is settled."""


@attrs.frozen
class Queued:
    """One queued operation, without its content.

    `number` is its place in the queue, never reused. `behind` is the number of one operation that it waits for. `code`
    and `message` are the remote's. `created` and `last_attempt` are seconds since 1970.
    """

    key: str
    number: int
    id: str
    table: str
    record_id: str
    kind: Kind
    standing: Standing
    behind: int | None
    attempts: int
    code: str | None
    message: str | None
    created: float
    last_attempt: float | None


@attrs.frozen
class Named:
    """A named query and how far its pulls came.

    `complete`: the last one met its end. `pulled`: when it began, by the remote's clock, where the remote tells.
    """

    table: str
    name: str
    complete: bool
    pulled: str | None


@attrs.frozen
class Aside:
    """A record that came and could not be stored, since `at` in seconds since 1970, and why."""

    table: str
    record_id: str
    reason: str
    at: float


@attrs.frozen
class Held:
    """The lease, under which a push, pull or purge is going on.

    `process` is its number, None on another machine; until `until`, in seconds since 1970, nobody else takes it.
    """

    process: int | None
    until: float


@attrs.frozen
class Overview:
    """One committed state of a store. `tables` counts records by table."""

    remote: str | None
    lease: Held | None
    tables: Mapping[str, int]
    operations: Sequence[Queued]
    cursors: Sequence[Named]
    quarantine: Sequence[Aside]


@attrs.frozen
class Detail:
    """One queued operation with all that is kept of it and of its record: contents included."""

    operation: Operation
    base: Copy
    remote: Copy


# ---- looking


def overview(transaction: StoreTransaction, now: float) -> Overview:
    """Look at everything but contents."""
    row = transaction.get(META, ["remote"])[0]
    tables = {name: transaction.count(Query(name)) for name in declared_tables(transaction)}
    cursors = (_named(row) for row in transaction.select(Query(CURSORS)))
    fields = ("table", "record_id", "reason", "at")
    quarantine = (_aside(row) for row in transaction.select(Query(QUARANTINE, fields=fields)))
    return Overview(
        remote=None if row is None else str(row["value"]),
        lease=_lease(transaction, now),
        tables=tables,
        operations=queued(transaction),
        cursors=sorted(cursors, key=lambda each: (each.table, each.name)),
        quarantine=sorted(quarantine, key=lambda each: (each.table, each.record_id)),
    )


def queued(transaction: StoreTransaction) -> list[Queued]:
    """The queue in order."""
    unsettled = Query(HEADS, equals("unsettled", True, ColumnType.BOOLEAN), fields=("entries",))
    first = {
        entries[0] for row in transaction.select(unsettled) if isinstance(entries := row["entries"], list)
    }
    fields = (
        "sequence", "operation", "table", "record_id", "kind", "state", "attempts", "error", "blocker", "lane",
        "created", "last_attempt",
    )  # fmt: skip
    order = (Order(Field("sequence", ColumnType.INTEGER)),)
    found: dict[str, Queued] = {}
    for row in transaction.select(Query(OPERATIONS, order=order, fields=fields)):
        each = _queued(row, found, in_conflict=row["id"] in first)
        found[each.key] = each
    return list(found.values())


def detail(transaction: StoreTransaction, operation: Queued) -> Detail:
    """All that is kept of an operation, and of its record. Raises `StaleResolution` if it has left the queue."""
    ledger = Ledger(transaction, declared_tables(transaction), nonce="", now=0.0)
    head = ledger.head(operation.table, operation.record_id)
    for entry in head.entries if head is not None else ():
        if head is not None and entry.key == operation.key:
            return Detail(describe(head, entry), head.base, head.remote)
    raise StaleResolution(operation.table, operation.record_id)


def _queued(row: Record, found: Mapping[str, Queued], *, in_conflict: bool) -> Queued:
    kept: dict[str, Any] = row  # rows of this table are written by encode_entry alone
    waits = found.get(kept["blocker"] or "")
    standing: Standing = "pending"
    if kept["state"] == "attempted":
        standing = "attempted"
    elif in_conflict:
        standing = "conflict"
    elif kept["lane"] == FAILED:
        standing = "failed"
    elif waits is not None and waits.standing in ("failed", "conflict", "parked"):
        standing = "parked"
    error: dict[str, Any] = kept["error"] or {}
    return Queued(
        kept["id"], kept["sequence"], kept["operation"], kept["table"], kept["record_id"], kept["kind"], standing,
        None if waits is None else waits.number, kept["attempts"], error.get("code"), error.get("message"),
        kept["created"], kept.get("last_attempt"),
    )  # fmt: skip


def _named(row: Record) -> Named:
    bookmark = row["bookmark"]
    if not isinstance(bookmark, dict):
        raise StoreCorrupt(f"the cursor {row['id']!r} cannot be read: restore a copy of the store")
    began = bookmark.get("began")
    return Named(str(row["table"]), str(row["name"]), bookmark.get("complete") is True, began)


def _aside(row: Record) -> Aside:
    kept: dict[str, Any] = row
    return Aside(kept["table"], kept["record_id"], kept["reason"], kept["at"])


def _lease(transaction: StoreTransaction, now: float) -> Held | None:
    row = transaction.get(META, ["lease"])[0]
    kept: Any = {} if row is None else row["value"]
    name: str | None = kept.get("holder")
    if name is None or kept["until"] <= now or gone(name):
        return None
    return Held(process_of(name), kept["until"])


# ---- doing


def retry(store: Store, chosen: Sequence[Queued]) -> dict[str, str]:
    """Send refused operations again with the next push, all in one transaction.

    Returns by key why an operation was left as it is: it changed since, is in conflict, or was not refused.
    """

    def again(queue: Queue, operation: Operation) -> None:
        if operation.state != "failed" and not operation.in_conflict:
            raise UsageError(
                f"{operation.table}/{operation.record_id} was not refused: a push sends it in its turn"
            )
        resolutions.retry(queue, operation)

    return _each(store, chosen, again)


def discard(store: Store, chosen: Sequence[Queued], *, force: bool = False) -> dict[str, str]:
    """Drop all that is queued on the records of these operations, all in one transaction.

    Each record becomes what is known of the remote. Returns by key why an operation was left as it is: it changed
    since, or may be at the remote already, which takes `force`.
    """
    return _each(store, chosen, lambda queue, found: resolutions.discard(queue, found, force=force))


def _each(store: Store, chosen: Sequence[Queued], step: Callable[[Queue, Operation], None]) -> dict[str, str]:
    left: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    with store.transaction(write=True) as transaction:
        tables = declared_tables(transaction)
        queue = Queue(Ledger(transaction, tables, nonce=os.urandom(9).hex(), now=time.time()))
        for each in chosen:
            head = queue.ledger.head(each.table, each.record_id)
            entries = [] if head is None else [entry for entry in head.entries if entry.key == each.key]
            record = each.table, each.record_id
            try:
                if head is None or not entries or entries[0].id != each.id:
                    if record not in done:  # else it left together with another one of its record
                        raise StaleResolution(*record)
                    continue
                step(queue, describe(head, entries[0]))
                done.add(record)
            except UsageError as error:
                left[each.key] = str(error)
        _ = queue.close("resolution")
    return left
