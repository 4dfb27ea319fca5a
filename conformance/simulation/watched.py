"""The engine's session and queue under watch, and the user code that a context is given: policies and a handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from tidesync.conflicts import (
    Conflict,
    Defer,
    Drop,
    Merge,
    Policy,
    Resolution,
    conflicting_fields,
    defer,
    keep_local,
    keep_remote,
    merge_fields,
)
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Outcome
from tidesync.queue import Queue
from tidesync.records import content_of
from tidesync.reports import OperationError, PushReport
from tidesync.rules.chain import Entry, Head
from tidesync.rules.merge import merge_contents
from tidesync.session import Attempt, Session

if TYPE_CHECKING:
    from tidesync.conformance.simulation.context import Context


class WatchedQueue(Queue):
    """The queue, followed by the edits that its operations are made of: `edits` by the operation's key."""

    edits: dict[str, tuple[int, ...]]

    def _fold(self, head: Head, old: Entry, new: Entry) -> bool:
        folded = super()._fold(head, old, new)
        if folded:
            self.edits[old.key] = self.edits.get(old.key, ()) + self.edits.get(new.key, ())
        return folded


class WatchedSession(Session):
    """A session whose queues are watched."""

    edits: dict[str, tuple[int, ...]]

    def queue(self, transaction: StoreTransaction, now: float) -> Queue:
        """The queue, watched."""
        queue = WatchedQueue(super().queue(transaction, now).ledger)
        queue.edits = self.edits
        return queue


class _Nobody:
    """No context stands behind the errors of a world: `Device.resolve` settles them on the queue itself."""

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> Awaitable[None]:
        """Is never asked."""
        del record
        raise TypeError(f"{how}: settle {error.record_id} on its device")


NOBODY: Final = _Nobody()


def custom(conflict: Conflict) -> Resolution:
    """A policy of an application's own: the same as merging by field, said as a record."""
    local, remote = content_of(conflict.local), content_of(conflict.remote)
    if remote is None:
        return Drop()
    if local is None:
        return keep_local(conflict)
    _ = conflicting_fields(conflict)
    return Merge(merge_contents(content_of(conflict.base), local, remote))


def policy_of(name: str) -> Policy:
    """A policy by the name that profiles use."""
    how, _, prefer = name.partition("/")
    if how == "merge":
        return merge_fields("local" if prefer == "local" else "remote")
    return {"keep_local": keep_local, "keep_remote": keep_remote, "defer": defer, "custom": custom}[how]


def deferring(conflict: Conflict) -> Resolution:
    """Defers, when asked."""
    del conflict
    return Defer("later")


class Handling:
    """User code around each send: it sends, sends twice, does not send, or stops the push."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        """Every so often something else than sending once."""
        device = self.context.device
        device.handled += 1
        if not self.context.world.faults or device.handled % 3:
            return send()
        if device.handled % 2:
            _ = send()
            return send()
        if device.handled % 4:
            attempt.abort_push()
        return None

    def on_push_complete(self, report: PushReport) -> None:
        """Nothing."""
