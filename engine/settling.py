"""The transaction step of a push that settles what came of an exchange.

Settling is compare-and-set on the operation id: an answer never brings back an operation that was dropped
meanwhile. Afterwards what waited for the settled operations is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidesync.contracts.transport import (
    Applied,
    Conflicted,
    Denied,
    NotSent,
    Outcome,
    Rejected,
    Undeleted,
    Unknown,
    Untried,
    Version,
)
from tidesync.events import OperationFailed, OperationPushed
from tidesync.ledger import Ledger
from tidesync.operations import Operation, Refusal
from tidesync.queue import Queue
from tidesync.records import Record
from tidesync.reports import ErrorStatus
from tidesync.rows import LINEAGE
from tidesync.rules import settle
from tidesync.rules.chain import Entry, Head, record_key
from tidesync.sending import Run, Sent, Trouble

TRIES: Final = 3
"""Sends of one operation in one push that may end in doubt."""
DOUBTS_IN_A_ROW: Final = 3
"""Different operations in doubt, one after another, after which the remote counts as down."""
ROUNDS: Final = 5
"""Conflicts of one record in one push before it is set aside."""
LINEAGE_LIMIT: Final = 16


def settle_all(queue: Queue, batch: Sequence[Sent], outcomes: Sequence[Outcome], run: Run) -> None:
    """Settle every outcome of one exchange; what waited for the settled ones is looked at again."""
    ledger = queue.ledger
    ledger.load(record_key(sent.change.table, sent.change.record_id) for sent in batch)
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
            if head.remote is not None:  # news that waited for the doubt to end, and may be none to decide on
                _ = settle.arrives(head, head.remote)
            queue.finish(head)
            if not head.entries:
                _ = run.troubles.pop(entry.key, None)
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


def _trouble(told: Operation, status: ErrorStatus, code: str, message: str, sent: Sent) -> Trouble:
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
