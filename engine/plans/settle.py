"""Settling a conflict: one plan, shared by push and pull, and the only place where a policy is asked."""

from __future__ import annotations

from typing import Any, Final

from tidesync.conflicts import (
    Conflict,
    Defer,
    Drop,
    KeepLocal,
    KeepRemote,
    Merge,
    MergeFields,
    Resolution,
    defer,
)
from tidesync.contracts.store import StoreTransaction
from tidesync.effects import Ask, Emit, Plan, Transact
from tidesync.errors import InvalidRecord, UsageError
from tidesync.events import ConflictFound, ConflictSettled, Event
from tidesync.lease import Lease
from tidesync.queue import Queue
from tidesync.records import Record, check_record, content_of, with_system
from tidesync.rules import settle
from tidesync.rules.chain import Head, current
from tidesync.session import Session, ToRecord

ASKS: Final = 20
"""Times that a policy is asked about one record whose local edits keep changing it meanwhile."""


class _Unreadable(Exception):
    """The answer would show a record that the table's class cannot read: nothing is decided."""


def settle_conflict(session: Session, lease: Lease, table: str, record_id: str) -> Plan[str | None]:
    """Ask the policy and apply its answer; returns the key of the operation that may go on, if there is one.

    The answer applies only if the record still is as it was when the policy was asked; else it is asked again.
    An answer that takes what does not fit the table's class is not applied: the record stays in conflict.
    """
    policy = session.policy_of(table)
    if policy is defer:
        return None
    for asked in range(ASKS):
        conflict = yield from Transact(
            lambda transaction, now: _read(session, lease, transaction, now, table, record_id)
        )
        if conflict is None:
            return None
        if not asked:
            yield from Emit(ConflictFound(table, record_id))
        answer = checked(session.to_record, conflict, (yield from Ask(policy, conflict)))
        if isinstance(answer, Defer):
            return None

        def apply(
            transaction: StoreTransaction, now: float, seen: Conflict = conflict, said: Resolution = answer
        ) -> tuple[bool, str | None, list[Event]]:
            return _apply(session, lease, transaction, now, seen, said)

        try:
            settled, key, events = yield from Transact(apply)
        except _Unreadable:
            return None
        if settled:
            yield from Emit(*events, ConflictSettled(table, record_id, type(answer).__name__))
            return key
    return None


def checked(to_record: ToRecord, conflict: Conflict, answer: Any) -> Resolution:
    """The answer to a conflict, if it is one; raises `UsageError`, and `InvalidRecord` for what was merged."""
    if isinstance(answer, Merge):
        return Merge(_merged_record(to_record, conflict, answer.record))
    if isinstance(answer, KeepLocal | KeepRemote | MergeFields | Defer | Drop):
        return answer
    raise UsageError(
        f"a conflict is answered with KeepLocal(), KeepRemote(), Merge(record), MergeFields(), Defer() or Drop(), "
        f"not with {answer!r:.60}"
    )


def _merged_record(to_record: ToRecord, conflict: Conflict, given: Any) -> Record:
    """The record of a `Merge`, checked; fields that a class does not name are the remote's, else the local ones."""
    under = content_of(conflict.remote) or conflict.local
    record = to_record(conflict.table, given, under)
    if record.get("id") != conflict.record_id:
        raise InvalidRecord(conflict.table, "id", "str", f"a merge keeps the id {conflict.record_id!r}")
    _ = check_record(conflict.table, record)
    return record


def conflict_of(head: Head) -> Conflict:
    """The conflict of a head, as a policy sees it."""
    content = current(head)
    local = None if content is None else with_system(content, head.base)
    return Conflict(head.table, head.record_id, head.base, local, head.remote, head.revision)


def _read(
    session: Session, lease: Lease, transaction: StoreTransaction, now: float, table: str, record_id: str
) -> Conflict | None:
    lease.check(transaction, now)
    head = session.queue(transaction, now).ledger.head(table, record_id)
    return conflict_of(head) if head is not None and head.in_conflict else None


def _apply(
    session: Session,
    lease: Lease,
    transaction: StoreTransaction,
    now: float,
    conflict: Conflict,
    answer: Resolution,
) -> tuple[bool, str | None, list[Event]]:
    lease.check(transaction, now)
    queue = session.queue(transaction, now)
    head = queue.ledger.head(conflict.table, conflict.record_id)
    if head is None or not head.in_conflict:
        return True, None, []
    if head.revision != conflict.revision:
        return False, None, []
    if not apply_answer(queue, head, answer):
        return True, None, []
    shown = current(head) if head.entries or head.remote is None else content_of(head.remote)
    if (
        shown is not None
        and not isinstance(answer, KeepLocal)
        and session.fits[head.table](shown) is not None
    ):
        raise _Unreadable
    return True, head.entries[0].key if head.entries else None, queue.close("resolution")


def apply_answer(queue: Queue, head: Head, answer: Resolution) -> bool:
    """Rewrite the record's operations as the answer says; False if it stays in conflict."""
    entries = list(head.entries)
    if not settle.resolve(head, answer, queue.ledger.new_id):
        return False
    for entry in entries:
        if entry not in head.entries:
            queue.ledger.remove(entry)
            queue.release(entry)
    queue.finish(head)
    return True
