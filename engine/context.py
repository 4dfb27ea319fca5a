"""The sync context: one local store, one remote, and the tables that are synced between them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

from tidesync import arguments, resolutions
from tidesync.conflicts import Conflict, Policy, Resolution, defer
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import Transport
from tidesync.drive import Ports, perform, run
from tidesync.effects import Exchange, Plan
from tidesync.errors import (
    BatchActive,
    ConfigurationError,
    ContextClosed,
    StoreError,
    UnknownTable,
    UsageError,
)
from tidesync.events import Event, Source
from tidesync.holder import gone, running, this_thread
from tidesync.lease import Holder
from tidesync.ledger import Counters, Ledger
from tidesync.objects import Table
from tidesync.operations import Operation
from tidesync.plans import pull as pulling
from tidesync.plans.pull import Departures, Pull, Push
from tidesync.plans.purge import PurgeReport, purge
from tidesync.plans.push import push
from tidesync.plans.settle import checked
from tidesync.queue import Queue, listed
from tidesync.records import Record
from tidesync.remote import RemoteTable
from tidesync.reports import OperationError, PullReport, PushReport
from tidesync.rows import META, SYSTEM_TABLES
from tidesync.selection import query_of
from tidesync.session import Session, SyncHandler, connect
from tidesync.tables import SyncTable
from tidesync.upgrade import check_owner, follow_declarations

T = TypeVar("T")
logger = logging.getLogger("tidesync")
LEASE_LIFE: Final = 120.0
"""Seconds without a sign of life after which another process may take the lease, at the least."""


class SyncContext:
    """Local tables that work without a network, and their push, pull and purge.

    Construction does no I/O; `with` (or `open`) opens the store and creates or upgrades its tables. The network is
    first touched by the first push, pull or remote call. `transport=None` is a context that only works locally.
    `policy` settles conflicts (default: defer), `policies` by table. `handler` is around each send of a push.
    `page_size` is in records, `patience` in seconds: how long a push, pull or purge waits for another. It may be
    used from several threads. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport | None = None,
        tables: Sequence[Table[Any]] = (),
        *,
        policy: Policy = defer,
        policies: Mapping[Table[Any], Policy] | None = None,
        handler: SyncHandler | None = None,
        page_size: int = 1000,
        patience: float = 30.0,
    ) -> None:
        arguments.check_ends(store, transport, handler)
        arguments.check_options(policy, policies, page_size, patience)
        self._store, self._transport = store, transport
        self._tables = {each.name: each for each in arguments.listed_tables(tables)}
        self._policy, self._handler = policy, handler
        self._policies = {self._known(each).name: chosen for each, chosen in (policies or {}).items()}
        self._page_size, self._patience = page_size, patience
        self._subscribers: list[Callable[[Event], None]] = []
        self._session: Session | None = None
        self._local = threading.local()
        self._opening = threading.RLock()  # a store or transport of the user may call back
        self._runs = 0

    def __repr__(self) -> str:
        return f"<sync context of {', '.join(self._tables) or 'no tables'} on {self._store!r}>"

    # ---- life

    def open(self) -> Self:
        """Open the store and create or upgrade its tables; does nothing if it is open."""
        with self._opening:
            if self._session is None:
                schemas = {each.name: each.schema for each in self._tables.values()}
                check_owner(self._store)
                self._store.open([*SYSTEM_TABLES, *schemas.values()])
                follow_declarations(self._store, self._tables)
                self._session = Session(
                    tables=schemas, nonce=os.urandom(9).hex(), resolver=self, policy=self._policy,
                    policies=self._policies, fits={each.name: each.fits for each in self._tables.values()},
                    to_record=self._merged, holder=self._holder, handler=self._handler, page_size=self._page_size,
                )  # fmt: skip
        return self

    def close(self) -> None:
        """Release the transport and the store; does nothing if it is closed.

        A push or pull under way on another thread ends as if the process had: nothing is lost.
        """
        with self._opening:
            opened, self._session = self._session, None
            if opened is not None:
                opened.stopping = True  # also if the context is opened again before that thread looks
                if self._transport is not None:
                    self._transport.close()
                self._store.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise ContextClosed(
                "this context is not open: use `with SyncContext(...) as ctx`, or call open()"
            )
        return self._session

    # ---- tables

    def __getitem__(self, table: Table[T]) -> SyncTable[T]:
        """The sync table; `UnknownTable` if the context was not given it."""
        return SyncTable(self, self._known(table))

    def table(self, name: str) -> SyncTable[Any]:
        """The sync table of this name; `UnknownTable` if there is none."""
        if name not in self._tables:
            raise UnknownTable(name, tuple(self._tables))
        return SyncTable(self, self._tables[name])

    def remote(self, table: Table[T], parameters: Mapping[str, str] | None = None) -> RemoteTable[T]:
        """The table at the remote, which fails without a network. `parameters` go with every request."""
        known = self._known(table)
        arguments.check_parameters(parameters or {})

        def exchange(effect: Exchange[Any]) -> Any:
            _ = self._drive(connect)
            return perform(effect, self._ports)

        return RemoteTable(exchange, known, parameters or {})

    def _known(self, table: Table[T]) -> Table[T]:
        if not isinstance(table, Table):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without types
            raise UnknownTable(f"{table!r:.60}", tuple(self._tables), "; give what table() returned")
        if self._tables.get(table.name) is not table:
            raise UnknownTable(table.name, tuple(self._tables))
        return table

    # ---- transactions

    @property
    def _active(self) -> Queue | None:
        """The queue of the batch that is open on this thread."""
        return getattr(self._local, "queue", None)

    def write(self, step: Callable[[Queue], T], source: Source = "local") -> T:
        """Run one step on the queue in a transaction of its own, or in the batch that is active on this thread."""
        session, active = self._opened, self._active
        if active is not None:
            with self._unbroken():
                return step(active)
        with self._store.transaction(write=True) as transaction:
            queue = session.queue(transaction, time.time())
            result = step(queue)
            events = queue.close(source)
        self._emit_all(events)
        return result

    def read(self, step: Callable[[StoreTransaction], T]) -> T:
        """Run one step on one committed state of the store, or on what the active batch has made of it."""
        _, active = self._opened, self._active
        if active is not None:
            with self._unbroken():
                active.ledger.flush()
                return step(active.ledger.transaction)
        with self._store.transaction(write=False) as transaction:
            return step(transaction)

    @contextmanager
    def batch(self) -> Generator[None]:
        """Many writes in one store transaction, all or nothing. Reads inside see the writes.

        Push, pull and purge inside are `BatchActive`. Other threads' writes wait until it ends.
        """
        session = self._opened
        if self._active is not None:
            raise BatchActive("a batch inside a batch: one is enough")
        with self._store.transaction(write=True) as transaction:
            queue = self._local.queue = session.queue(transaction, time.time())
            self._local.broken = None
            try:
                yield
                if self._local.broken is not None:
                    raise StoreError(
                        "the store failed inside this batch: nothing of it is kept"
                    ) from self._local.broken
                events = queue.close("local")
            finally:
                self._local.queue = None
        self._emit_all(events)

    @contextmanager
    def _unbroken(self) -> Generator[None]:
        """What is refused in a batch has changed nothing; what failed otherwise may have, and spoils it."""
        try:
            yield
        except UsageError:
            raise
        except BaseException as error:
            self._local.broken = error
            raise

    # ---- sync

    def push(self, tables: Collection[Table[Any]] | None = None, *, retry_failed: bool = False) -> PushReport:
        """Send what is queued, in an order that the remote can accept; returns a report if all of it went through.

        `tables` None or empty: all; else those, and what they depend on in others. `retry_failed` sends again what
        was refused. Raises `PushFailed` with `.report` and `.errors`, `SyncBusy`, `RemoteChanged`.
        """
        arguments.check_collection(tables)
        names = {self._known(each).name for each in tables} if tables else None
        return self._drive(lambda session: push(session, names, retry_failed=retry_failed))

    def pull(
        self,
        table: Table[Any],
        query: object = None,
        *,
        name: str | None = None,
        departures: Departures = "keep",
        reconcile: bool = False,
        push: Push = "context",
        resync: bool = False,
        parameters: Mapping[str, str] | None = None,
    ) -> PullReport:
        """Bring in what matches the query, after pushing what is queued.

        `name` None: everything, from the start. With a name: what changed since the last pull of that name.
        `departures="remove"` drops records that changed and no longer match; `reconcile` compares all ids, and drops
        what is gone; `resync` starts again from nothing, and reconciles. `push` is "context", "table" or "none".
        Raises `InvalidQuery`, `QueryNameReused`, `PushFailed`, `SyncBusy`, `Unsupported`, `MassDeparture` and
        `TransportError`, of which `ResyncRequired` and `RemoteChanged` are the ones to know.
        """
        known = self._known(table)
        wanted = query_of(known, query)
        arguments.check_pull(wanted, name, departures, push)
        arguments.check_parameters(parameters or {})
        plan = Pull(
            query=wanted, name=name, departures=departures, reconcile=reconcile, push=push, resync=resync,
            parameters=dict(parameters or {}),
        )  # fmt: skip
        return self._drive(lambda session: pulling.pull(session, plan))

    def purge(
        self, table: Table[Any], query: object = None, *, name: str | None = None, force: bool = False
    ) -> PurgeReport:
        """Remove records from the local store only, after pushing what is queued on them.

        Raises `PurgeBlocked` if operations remain, and nothing changed; `force` pushes nothing, and drops them. Also
        raises `SyncBusy`.
        Forgets the cursor of `name`, or every cursor of the table if the whole table goes.
        """
        known = self._known(table)
        if name is not None:
            arguments.check_name(known.name, name)
        wanted = query_of(known, query)
        return self._drive(lambda session: purge(session, wanted, name=name, force=force))

    def stop(self) -> None:
        """A push or pull under way ends after its present exchange; what it has done stays done."""
        self._opened.stopping = True

    # ---- the queue

    @property
    def pending_operations(self) -> int:
        """How many operations are queued, those that were refused or are in conflict included."""
        return self.read(_pending)

    def operations(self, table: Table[Any] | None = None) -> list[Operation]:
        """What is queued, in order: its state, and why it failed."""
        name = None if table is None else self._known(table).name
        return self.read(lambda transaction: listed(self._ledger(transaction), name))

    def conflicts(self) -> list[Conflict]:
        """The records in conflict that no policy has settled."""
        return self.read(lambda transaction: resolutions.conflicts(self._ledger(transaction)))

    def resolve(self, conflict: Conflict, resolution: Resolution) -> None:
        """Settle a conflict that `conflicts()` listed; `StaleResolution` if the record changed since."""
        arguments.check_kind("resolve", conflict, Conflict, "a conflict that conflicts() listed")
        answer = checked(self._merged, conflict, resolution)
        self.write(lambda queue: resolutions.settle(queue, conflict, answer), "resolution")

    def retry(self, operation: Operation) -> None:
        """Send a refused operation again with the next push; `StaleResolution` if it changed since."""
        arguments.check_kind("retry", operation, Operation, "an operation that operations() listed")
        self.write(lambda queue: resolutions.retry(queue, operation), "resolution")

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> None:
        """Apply a resolution of an `OperationError`; use its methods."""
        given: Record | None = None
        if how in ("cancel_and_update", "update_operation"):
            stored = error.server if isinstance(error.server, dict) else error.operation.content
            merged = self._merged(error.table, record, stored)
            given = resolutions.under_id(merged, error.record_id)
        self.write(lambda queue: resolutions.resolve_error(queue, error, how, given), "resolution")

    def _ledger(self, transaction: StoreTransaction) -> Ledger:
        return self._opened.queue(transaction, time.time()).ledger

    def _merged(self, table: str, given: Any, under: Record | None) -> Record:
        known = self.table(table).table
        record = known.to_record(given)
        return (
            record if under is None else {**known.overlay(given, under), "id": record.get("id", under["id"])}
        )

    # ---- events

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call back with every event, after commit, on the thread that caused it; returns a way to stop that.

        An exception in the callback is logged, and breaks nothing.
        """
        arguments.check_subscriber(callback)
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def _emit_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                logger.exception("a subscriber failed at %s", type(event).__name__)

    # ---- plans

    @property
    def _ports(self) -> Ports:
        return Ports(store=self._store, transport=self._wire, emit=self._emit)

    def _wire(self) -> Transport:
        if self._transport is None:
            raise ConfigurationError("this context has no transport: it works locally only")
        return self._transport

    def _drive(self, plan: Callable[[Session], Plan[T]]) -> T:
        _ = self._opened
        if self._active is not None:
            raise BatchActive("push, pull, purge and remote tables wait for the end of ctx.batch()")
        _ = self._wire()
        with self._opening:
            session = self._opened
            self._runs += 1
            session.stopping = session.stopping and self._runs > 1
        try:
            with running() as name:
                self._local.run = name
                return run(plan(session), self._ports)
        finally:
            with self._opening:
                self._runs -= 1

    def _holder(self) -> Holder:
        return Holder(self._local.run, LEASE_LIFE, self._patience, gone, this_thread, exchanges=2.0)


def _pending(transaction: StoreTransaction) -> int:
    return Counters(transaction.get(META, ["counters"])[0]).pending
