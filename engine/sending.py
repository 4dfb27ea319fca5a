"""What one push keeps in mind, and its transaction step that marks what is ready.

"Marked" means durably noted as possibly at the remote, before it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from tidesync.contracts.transport import Absent, Anything, Change, Expected, Version
from tidesync.ledger import Ledger
from tidesync.operations import Operation, State
from tidesync.query import And, Compare, Field, Order, Query, Value, equals
from tidesync.queue import Queue, describe
from tidesync.records import Copy, Record, Tombstone, alive, content_of, version_of
from tidesync.reports import ErrorStatus, Status
from tidesync.rows import OPERATIONS, READY
from tidesync.rules.chain import Entry, Head, before, kind_of, record_key
from tidesync.rules.collapse import vanishes
from tidesync.rules.merge import changed_fields
from tidesync.values import ColumnType

_SEQUENCE: Final = Field("sequence", ColumnType.INTEGER)
_IN_ORDER: Final = (Order(_SEQUENCE),)
_IS_READY: Final = equals("lane", READY, ColumnType.STRING)


@attrs.define(eq=False)
class Sent:
    """One change on its way, the state that it was marked from, and how often a handler sent it."""

    operation: Operation
    change: Change
    was: State
    sends: int = 1

    @property
    def key(self) -> str:
        """The operation's key in the queue."""
        return self.operation.key


@attrs.frozen(eq=False)
class Trouble:
    """An operation that did not go through in this push."""

    operation: Operation
    status: ErrorStatus
    code: str
    message: str
    sent: Record | None


@attrs.define(eq=False)
class Run:
    """What one push keeps in mind while it runs; nothing of it must survive a crash.

    `snapshot`: the sequence that it goes up to; `position`: how far it has looked. Operations, by key: `again`
    are to be looked at before going on, `aside` are left for a later push, `needed` are in scope because one in
    `tables` waits for them, `doubts` ended in doubt one after another, `tries` counts the doubts of each.
    `rounds` counts conflicts by record, and `asks` names the records about which a policy is to be asked.
    """

    snapshot: int = 0
    tables: frozenset[str] | None = None
    max_changes: int = 1
    max_bytes: int | None = None
    ordered: bool = False
    position: int = 0
    again: list[str] = attrs.field(factory=list[str])
    aside: set[str] = attrs.field(factory=set[str])
    needed: set[str] = attrs.field(factory=set[str])
    tries: dict[str, int] = attrs.field(factory=dict[str, int])
    rounds: dict[str, int] = attrs.field(factory=dict[str, int])
    doubts: set[str] = attrs.field(factory=set[str])
    pushed: list[Operation] = attrs.field(factory=list[Operation])
    troubles: dict[str, Trouble] = attrs.field(factory=dict[str, Trouble])
    asks: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])
    stopped: Status | None = None
    reason: str = ""
    retry_after: float | None = None

    def stop(self, status: Status, reason: str, retry_after: float | None = None) -> None:
        """The push ends here; the first reason stands."""
        if self.stopped is None:
            self.stopped, self.reason, self.retry_after = status, reason, retry_after


def mark(queue: Queue, run: Run) -> list[Sent]:
    """Durably mark the next operations that may travel together, and return them as changes."""
    while True:
        batch = _mark_batch(queue, run)
        # What was looked at may have set others free, or brought what it waits for into scope.
        queue.relook()
        run.again.extend(queue.unblocked)
        queue.unblocked.clear()
        if run.tables is not None:
            _widen(queue, run)
        if batch or not run.again:
            return batch


def _mark_batch(queue: Queue, run: Run) -> list[Sent]:
    batch: list[Sent] = []
    size = 0
    for head in _candidates(queue, run):
        if not _wanted(queue.ledger, head, run):
            continue
        # Where nothing is declared about references, the order of the queue is kept strictly.
        alone = not run.ordered and queue.ledger.tables[head.table].references is None
        size += 0 if run.max_bytes is None else _size(head.entries[0])
        if batch and (alone or (run.max_bytes is not None and size > run.max_bytes)):
            run.again.append(head.entries[0].key)
            break
        sent = _mark_one(queue, head)
        if sent is None:
            continue
        batch.append(sent)
        if alone or len(batch) >= run.max_changes:
            break
    return batch


def _widen(queue: Queue, run: Run) -> None:
    """What operations in scope wait for is in scope too, in whichever table it is."""
    keys = [
        key
        for waiting, key in queue.blockers.items()
        if waiting in run.needed or _table_of(queue, waiting) in (run.tables or ())
    ]
    queue.blockers.clear()
    need(queue.ledger, run, keys)


def need(ledger: Ledger, run: Run, keys: list[str]) -> None:
    """Put these operations, and all that they wait for, in scope."""
    while keys:
        rows = [
            row
            for row in ledger.transaction.get(OPERATIONS, list(dict.fromkeys(keys)))
            if row is not None and row["id"] not in run.needed
        ]
        run.needed.update(str(row["id"]) for row in rows)
        run.again.extend(str(row["id"]) for row in rows if row["blocker"] is None)
        keys = [str(row["blocker"]) for row in rows if row["blocker"] is not None]


def _table_of(queue: Queue, key: str) -> str | None:
    row = queue.ledger.transaction.get(OPERATIONS, [key])[0]
    return None if row is None else str(row["table"])


def _look_ahead(queue: Queue, rows: Sequence[Record]) -> None:
    heads = (queue.ledger.head(str(row["table"]), str(row["record_id"])) for row in rows)
    firsts = ((head, head.entries[0]) for head in heads if head is not None and head.entries)
    queue.prefetch((head, entry) for head, entry in firsts if entry.state == "pending")


def _candidates(queue: Queue, run: Run) -> Iterator[Head]:
    """Heads of operations that may be ready: those set free lately, then on through the queue."""
    ledger = queue.ledger
    while run.again:
        keys = sorted(set(run.again))
        run.again.clear()
        rows = [row for row in ledger.transaction.get(OPERATIONS, keys) if row is not None]
        rows.sort(key=lambda row: row["sequence"])  # type: ignore[arg-type, return-value]  # a number
        ledger.load(record_key(str(row["table"]), str(row["record_id"])) for row in rows)
        for index, row in enumerate(rows):
            head = ledger.head(str(row["table"]), str(row["record_id"]))
            # One that stands further on is met in its turn, not before those in front of it.
            first = head is not None and bool(head.entries) and head.entries[0].key == row["id"]
            if head is not None and first and head.entries[0].sequence <= run.position:
                run.again[:] = [str(later["id"]) for later in rows[index + 1 :]]
                yield head
        run.again.clear()
    until = Compare("le", _SEQUENCE, Value(run.snapshot, ColumnType.INTEGER))
    limit = min(run.max_changes, 500)
    while True:
        after = Compare("gt", _SEQUENCE, Value(run.position, ColumnType.INTEGER))
        query = Query(OPERATIONS, And((_IS_READY, after, until)), _IN_ORDER, take=limit)
        rows = list(ledger.transaction.select(query))
        ledger.load(record_key(str(row["table"]), str(row["record_id"])) for row in rows)
        _look_ahead(queue, rows)
        for row in rows:
            run.position = int(row["sequence"])  # type: ignore[arg-type]  # a number
            head = ledger.head(str(row["table"]), str(row["record_id"]))
            if head is not None and head.entries and head.entries[0].key == row["id"]:
                yield head
        if len(rows) < limit:
            return


def _wanted(ledger: Ledger, head: Head, run: Run) -> bool:
    """Whether this push may send the record's first operation, going by what it knows of it."""
    entry = head.entries[0]
    if entry.key in run.aside or entry.state == "failed" or entry.sequence > run.snapshot or head.in_conflict:
        return False
    scope = run.tables is None or entry.table in run.tables or entry.key in run.needed
    return scope and head.table in ledger.tables


def _mark_one(queue: Queue, head: Head) -> Sent | None:
    entry = head.entries[0]
    was = entry.state
    if was == "pending":
        entry.blocker = queue.blocker(head, entry)
        if entry.blocker is not None:
            queue.blockers[entry.key] = entry.blocker
            queue.ledger.save(head)
            return None
        if vanishes(before(head, entry), entry.content):
            queue.finish(head)
            return None
        _freeze(head, entry)
    entry.attempts, entry.last_attempt = entry.attempts + 1, queue.ledger.now
    queue.ledger.touch(head)
    return Sent(describe(head, entry), _change(entry), was)


def _freeze(head: Head, entry: Entry) -> None:
    """From now on this is what is sent, and sent again, whatever happens meanwhile."""
    entry.sent_kind = kind_of(head, entry)
    if entry.content is None:
        entry.fields = ()
    else:
        entry.fields = changed_fields(content_of(head.base), entry.content)
    entry.expected = expected_of(head.base)
    entry.state = "attempted"


def expected_of(base: Copy) -> Expected:
    """What the remote must hold for an edit of this base; unconditional only where no version is known."""
    version = version_of(base)
    if alive(base):
        return Anything() if version is None else Version(version)
    return Absent() if base is None else Tombstone(version)


def _change(entry: Entry) -> Change:
    assert entry.sent_kind is not None
    assert entry.expected is not None
    record = None if entry.content is None else dict(entry.content)
    return Change(
        id=entry.id, table=entry.table, record_id=entry.record_id, kind=entry.sent_kind, record=record,
        fields=entry.fields or (), expected=entry.expected, attempts=entry.attempts,
    )  # fmt: skip


def _size(entry: Entry) -> int:
    """Bytes that the change takes on the wire, about."""
    return 200 + len(json.dumps(entry.content, ensure_ascii=False).encode())
