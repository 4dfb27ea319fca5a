"""What every plan of one open context shares: the tables, the policies, the lease's holder, the remote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import attrs

from tidesync.conflicts import AsyncPolicy, Policy, keep_local
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Outcome, TransportCapabilities
from tidesync.effects import OpenRemote, Plan, Transact
from tidesync.errors import RemoteChanged, SyncError
from tidesync.lease import Holder
from tidesync.ledger import Ledger
from tidesync.operations import Operation
from tidesync.queue import Note, Queue
from tidesync.records import Record
from tidesync.reports import PushReport, Resolver
from tidesync.rows import META
from tidesync.schema import TableSchema

ToRecord: TypeAlias = Callable[[str, Any, Record | None], Record]
"""`to_record(table, given, under)` turns what somebody merged into a record, over the fields of another."""


class AbortPush(SyncError):
    """A handler stopped the push."""


@attrs.frozen
class Attempt:
    """One operation on its way, as a handler sees it."""

    operation: Operation
    attempts: int

    def abort_push(self) -> None:
        """Stop the push here; the operation stays queued."""
        raise AbortPush(f"the handler stopped the push at {self.operation.table}/{self.operation.record_id}")


class SyncHandler(Protocol):
    """User code around each send. Operations then go one at a time. It runs outside transactions."""

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        """Call `send()`, as often as wanted, and return an outcome; None leaves the operation for a later push."""
        ...

    def on_push_complete(self, report: PushReport) -> None:
        """See the errors before the caller does; those that are settled here are not reported."""
        ...


class AsyncSyncHandler(Protocol):
    """`SyncHandler` for an `AsyncSyncContext`: what `send()` returns is awaited."""

    async def execute(self, attempt: Attempt, send: Callable[[], Awaitable[Outcome]]) -> Outcome | None:
        """Await `send()`, as often as wanted, and return an outcome; None leaves the operation for a later push."""
        ...

    async def on_push_complete(self, report: PushReport) -> None:
        """See the errors before the caller does; those that are settled here are not reported."""
        ...


class DefaultHandler:
    """Sends, and nothing else; subclass it to override one of the two."""

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:  # noqa: ARG002  # for subclasses
        """Send."""
        return send()

    def on_push_complete(self, report: PushReport) -> None:
        """Do nothing."""


@attrs.define(eq=False)
class Session:
    """One opening of a store by one context.

    `nonce` makes operation ids unique between openings. `fits` says why a pulled record cannot be stored, or None.
    `remote` is what `connect` found out, `stopping` ends a push or pull after its present exchange. `note` is told
    what each transaction changes.
    """

    tables: Mapping[str, TableSchema]
    nonce: str
    resolver: Resolver
    policy: Policy | AsyncPolicy
    policies: Mapping[str, Policy | AsyncPolicy]
    fits: Mapping[str, Callable[[Record], str | None]]
    to_record: ToRecord
    holder: Callable[[], Holder]
    handler: SyncHandler | AsyncSyncHandler | None = None
    page_size: int = 1000
    remote: TransportCapabilities | None = None
    stopping: bool = False
    note: Note | None = None

    def queue(self, transaction: StoreTransaction, now: float) -> Queue:
        """The operation queue on this transaction."""
        return Queue(Ledger(transaction, self.tables, nonce=self.nonce, now=now), self.note)

    def policy_of(self, table: str) -> Policy | AsyncPolicy:
        """Who settles the conflicts of a table."""
        if self.tables[table].concurrency == "last-write-wins":
            return keep_local
        return self.policies.get(table, self.policy)


def connect(session: Session) -> Plan[TransportCapabilities]:
    """Find out who the remote is, once; `RemoteChanged` if it is not the one this store was synced with."""
    if session.remote is not None:
        return session.remote
    found = yield from OpenRemote(tuple(session.tables.values()))

    def recognise(transaction: StoreTransaction, _: float) -> None:
        row = transaction.get(META, ["remote"])[0]
        if row is None:
            transaction.put(META, [{"id": "remote", "value": found.identity}])
        elif row["value"] != found.identity:
            raise RemoteChanged(str(row["value"]), found.identity)

    yield from Transact(recognise)
    session.remote = found
    return found
