"""The transaction steps of a push: mark what is ready, settle what came of it.

"Marked" means durably noted as possibly at the remote, before it is sent. Settling is compare-and-set on the
operation id: an answer never brings back an operation that was dropped meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    Denied,
    Expected,
    NotSent,
    Outcome,
    Rejected,
    Undeleted,
    Unknown,
    Untried,
    Version,
)
from tidesync.events import OperationFailed, OperationPushed
from tidesync.ledger import LINEAGE, OPERATIONS, READY, Ledger
from tidesync.operations import Operation, Refusal, State
from tidesync.query import Compare, Field, Order, Query, Value, all_of, equals
from tidesync.queue import Queue, describe
from tidesync.records import Copy, Record, Tombstone, alive, content_of, version_of
from tidesync.reports import Status
from tidesync.rules import settle
from tidesync.rules.chain import Entry, Head, before, kind_of
from tidesync.rules.collapse import vanishes
from tidesync.rules.merge import changed_fields
from tidesync.values import ColumnType

TroubleStatus: TypeAlias = Literal["rejected", "conflict", "unknown"]
TRIES: Final = 3
"""Sends of one operation in one push that may end in doubt."""
DOUBTS_IN_A_ROW: Final = 3
"""Different operations in doubt, one after another, after which the remote counts as down."""
ROUNDS: Final = 5
"""Conflicts of one record in one push before it is set aside."""
LINEAGE_LIMIT: Final = 16


@attrs.define(eq=False)
class Sent:
    """One change on its way, and the state that it was marked from."""

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
    status: TroubleStatus
    code: str
    message: str
    sent: Record | None


@attrs.define(eq=False)
class Run:
    """What one push keeps in mind while it runs; nothing of it must survive a crash."""

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


# ---- mark


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
        ledger.load(f"{row['table']}/{row['record_id']}" for row in rows)
        for index, row in enumerate(rows):
            head = ledger.head(str(row["table"]), str(row["record_id"]))
            # One that stands further on is met in its turn, not before those in front of it.
            first = head is not None and bool(head.entries) and head.entries[0].key == row["id"]
            if head is not None and first and head.entries[0].sequence <= run.position:
                run.again[:] = [str(later["id"]) for later in rows[index + 1 :]]
                yield head
        run.again.clear()
    sequence = Field("sequence", ColumnType.INTEGER)
    while True:
        where = all_of(
            equals("lane", READY, ColumnType.STRING),
            Compare("gt", sequence, Value(run.position, ColumnType.INTEGER)),
            Compare("le", sequence, Value(run.snapshot, ColumnType.INTEGER)),
        )
        limit = min(run.max_changes, 500)
        rows = list(ledger.transaction.select(Query(OPERATIONS, where, (Order(sequence),), take=limit)))
        ledger.load(f"{row['table']}/{row['record_id']}" for row in rows)
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
    entry.attempts += 1
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


# ---- settle


def settle_all(queue: Queue, batch: Sequence[Sent], outcomes: Sequence[Outcome], run: Run) -> None:
    """Settle every outcome of one exchange; what waited for the settled ones is looked at again."""
    ledger = queue.ledger
    ledger.load(f"{sent.change.table}/{sent.change.record_id}" for sent in batch)
    for table in {sent.change.table for sent in batch}:
        ledger.load_local(table, [sent.change.record_id for sent in batch if sent.change.table == table])
    lineage = _Lineage(ledger)
    for sent, outcome in zip(batch, outcomes, strict=True):
        head = ledger.head(sent.change.table, sent.change.record_id)
        entry = head.entries[0] if head is not None and head.entries else None
        if (
            head is not None
            and entry is not None
            and entry.id == sent.change.id
            and entry.state == "attempted"
        ):
            _settle_one(queue, head, entry, sent, outcome, run, lineage)
    if all(isinstance(outcome, Untried) for outcome in outcomes) and not any(
        sent.key in run.aside for sent in batch
    ):
        run.stop("network", "the transport tried none of the changes that it was given")
    lineage.write()
    queue.relook()
    run.again.extend(queue.unblocked)
    queue.unblocked.clear()


def _settle_one(
    queue: Queue, head: Head, entry: Entry, sent: Sent, outcome: Outcome, run: Run, lineage: _Lineage
) -> None:
    ledger = queue.ledger
    told = sent.operation
    entry.attempts += sent.sends - 1
    if not isinstance(outcome, Unknown | NotSent | Denied | Untried):
        run.doubts.clear()
    match outcome:
        case Applied(version, copy):
            lineage.note(head, entry, version)
            settle.applied(head, entry, version, copy)
            _left(queue, head, entry, told, run)
        case Conflicted(found):
            verdict = settle.conflicted(head, entry, found, ledger.new_id)
            if verdict == "applied":
                _left(queue, head, entry, told, run)
            elif verdict == "again":
                _go_on(queue, head, entry, sent, run)
            else:
                queue.finish(head)
                _meet_conflict(head, run, told, sent)
        case Rejected(code, message):
            entry.state, entry.error = "failed", Refusal(code, message)
            run.troubles[entry.key] = _trouble(told, "rejected", code, message, sent)
            queue.events.append(OperationFailed(head.table, head.record_id, told.kind, code, message))
            queue.finish(head)
            run.again.append(entry.key)
            _ask_later(head, run)
        case Undeleted(record):
            settle.undeleted(head, entry, record, ledger.new_id)
            _go_on(queue, head, entry, sent, run)
        case Unknown(reason):
            _doubt(entry, sent, reason, run)
        case NotSent(reason, retry_after):
            _unmark(queue, head, entry, sent)
            run.stop("network", reason, retry_after)
        case Denied(reason):
            _unmark(queue, head, entry, sent)
            run.stop("authentication", reason)
        case Untried():
            _unmark(queue, head, entry, sent)
            run.again.append(entry.key)


def _left(queue: Queue, head: Head, entry: Entry, told: Operation, run: Run) -> None:
    queue.ledger.remove(entry)
    queue.release(entry)
    run.pushed.append(told)
    _ = run.troubles.pop(entry.key, None)
    queue.events.append(OperationPushed(head.table, head.record_id, told.kind))
    queue.finish(head)
    _ask_later(head, run)


def _ask_later(head: Head, run: Run) -> None:
    if head.in_conflict:
        run.asks.append((head.table, head.record_id))


def _go_on(queue: Queue, head: Head, entry: Entry, sent: Sent, run: Run) -> None:
    """It can be sent anew from what was found there; a remote that never takes it is not asked for ever."""
    queue.finish(head)
    run.rounds[head.key] = run.rounds.get(head.key, 0) + 1
    if run.rounds[head.key] <= ROUNDS:
        run.again.append(entry.key)
    else:
        run.aside.add(entry.key)
        why = "the remote holds something else each time"
        run.troubles[entry.key] = _trouble(sent.operation, "conflict", "conflict", why, sent)


def _meet_conflict(head: Head, run: Run, told: Operation, sent: Sent) -> None:
    if not head.entries:
        return
    run.rounds[head.key] = run.rounds.get(head.key, 0) + 1
    run.troubles[head.entries[0].key] = _trouble(
        told, "conflict", "conflict", "changed at the remote too", sent
    )
    if run.rounds[head.key] <= ROUNDS:
        run.asks.append((head.table, head.record_id))
    else:
        run.aside.update(entry.key for entry in head.entries)


def _doubt(entry: Entry, sent: Sent, reason: str, run: Run) -> None:
    run.tries[entry.key] = run.tries.get(entry.key, 0) + 1
    run.doubts.add(entry.key)
    if run.tries[entry.key] >= TRIES:
        run.aside.add(entry.key)
        run.troubles[entry.key] = _trouble(sent.operation, "unknown", "unknown", reason, sent)
    else:
        run.again.append(entry.key)
    if len(run.doubts) >= DOUBTS_IN_A_ROW:
        run.stop("network", reason)


def _unmark(queue: Queue, head: Head, entry: Entry, sent: Sent) -> None:
    """Back to the state that it was marked from: what was ever in doubt stays attempted."""
    if sent.was == "pending":
        entry.state, entry.attempts = "pending", 0
        entry.fields = entry.expected = entry.sent_kind = None
        queue.finish(head)
    else:
        entry.attempts -= 1
    queue.ledger.touch(head)


def _trouble(told: Operation, status: TroubleStatus, code: str, message: str, sent: Sent) -> Trouble:
    return Trouble(told, status, code, message, sent.change.record)


class _Lineage:
    """Which versions of a record differ from its present one by our own pushes only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._steps: dict[str, tuple[str, str]] = {}

    def note(self, head: Head, entry: Entry, version: str | None) -> None:
        """Our own update led from the version it expected to this one."""
        if isinstance(entry.expected, Version) and version is not None and entry.content is not None:
            self._steps[head.key] = (entry.expected.version, version)

    def write(self) -> None:
        """Keep what was noted, all at once."""
        if not self._steps:
            return
        rows = self._ledger.transaction.get(LINEAGE, list(self._steps))
        puts: list[Record] = []
        for (key, (old, new)), row in zip(self._steps.items(), rows, strict=True):
            known = row["versions"] if row is not None and row["current"] == old else []
            assert isinstance(known, list)
            puts.append({"id": key, "current": new, "versions": [*known, old][-LINEAGE_LIMIT:]})
        self._ledger.transaction.put(LINEAGE, puts)
