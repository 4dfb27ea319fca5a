"""What both faces of a sync context share: its tables, options and subscribers, and what its calls come to.

`context.py` runs that on the calling thread, `aio/context.py` on an event loop.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from tidesync import arguments, resolutions
from tidesync.changes import Changes, NotedStore, numbers_in
from tidesync.conflicts import AsyncPolicy, Conflict, Policy, Resolution
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.course import Course, Running, check_online, check_tempo, planned
from tidesync.course import Pull as AutoPull
from tidesync.effects import Plan
from tidesync.errors import BatchActive, ConfigurationError, ContextClosed, UnknownTable, UsageError
from tidesync.events import Event
from tidesync.holder import gone, run_and_outer
from tidesync.lease import Holder
from tidesync.ledger import Counters
from tidesync.live import View
from tidesync.objects import Table
from tidesync.operations import Operation
from tidesync.plans import pull as pulling
from tidesync.plans.pull import Departures, Pull, Push
from tidesync.plans.purge import PurgeReport, purge
from tidesync.plans.push import push
from tidesync.plans.settle import checked
from tidesync.queue import Queue, listed
from tidesync.records import Record
from tidesync.reports import OperationError, PullReport, PushReport, Resolver
from tidesync.rows import COUNTERS, META, SYSTEM_TABLES
from tidesync.rules.pace import Tempo
from tidesync.selection import query_of
from tidesync.session import AsyncSyncHandler, Session, SyncHandler
from tidesync.upgrade import check_owner, follow_declarations

T = TypeVar("T")
Wire = TypeVar("Wire")
Planned: TypeAlias = Callable[[Session], Plan[T]]
logger = logging.getLogger("tidesync")
LEASE_LIFE: Final = 120.0
"""Seconds without a sign of life after which another process may take the lease, at the least."""


class Face(Generic[Wire]):
    """One local store, one remote, and the tables that are synced between them. `Wire` is the kind of transport."""

    _entered: ClassVar[str]
    """How it is opened, for messages."""

    def __init__(
        self,
        store: Store,
        transport: Wire | None,
        tables: Sequence[Table[Any]],
        *,
        policy: Policy | AsyncPolicy,
        policies: Mapping[Table[Any], Policy] | Mapping[Table[Any], Policy | AsyncPolicy] | None,
        handler: SyncHandler | AsyncSyncHandler | None,
        page_size: int,
        patience: float,
    ) -> None:
        arguments.check_ends(store, transport, handler)
        arguments.check_options(policy, policies, page_size, patience)
        self._changes = Changes()
        self._store, self._transport = NotedStore(store, self._changes), transport
        self._tables = {each.name: each for each in arguments.listed_tables(tables)}
        self._policy, self._handler = policy, handler
        self._policies = {self._known(each).name: chosen for each, chosen in (policies or {}).items()}
        self._page_size, self._patience = page_size, patience
        self._subscribers: list[Callable[[Event], None]] = []
        self._session: Session | None = None
        self._runs = 0
        self._autosync: Running | None = None

    def __repr__(self) -> str:
        return f"<sync context of {', '.join(self._tables) or 'no tables'} on {self._store!r}>"

    # ---- life

    def _open_store(self, resolver: Resolver) -> Session:
        """Open the store, create or upgrade its tables, and begin a session."""
        schemas = {each.name: each.schema for each in self._tables.values()}
        check_owner(self._store)
        self._store.open([*SYSTEM_TABLES, *schemas.values()])
        follow_declarations(self._store, self._tables)
        with self._store.transaction(write=False) as transaction:
            self._changes.begin(schemas, numbers_in(transaction))
        return Session(
            tables=schemas, nonce=os.urandom(9).hex(), resolver=resolver, policy=self._policy,
            policies=self._policies, fits={each.name: each.fits for each in self._tables.values()},
            to_record=self._merged, holder=self._holder, handler=self._handler, page_size=self._page_size,
            note=self._changes.note,
        )  # fmt: skip

    @property
    def _opened(self) -> Session:
        """The session, for who may use it here."""
        return self._present()

    def _present(self) -> Session:
        if self._session is None:
            raise ContextClosed(f"this context is not open: use `{self._entered} as ctx`, or call open()")
        return self._session

    def _holder(self) -> Holder:
        name, outer = run_and_outer()
        return Holder(name, LEASE_LIFE, self._patience, gone, outer, exchanges=2.0)

    def _wire(self) -> Wire:
        if self._transport is None:
            raise ConfigurationError("this context has no transport: it works locally only")
        return self._transport

    def stop(self) -> None:
        """A push or pull under way ends after its present exchange; what it has done stays done."""
        self._present().stopping = True

    # ---- tables

    def _known(self, table: Table[T]) -> Table[T]:
        if not isinstance(table, Table):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without types
            raise UnknownTable(f"{table!r:.60}", tuple(self._tables), "; give what table() returned")
        if self._tables.get(table.name) is not table:
            raise UnknownTable(table.name, tuple(self._tables))
        return table

    def _named(self, name: str) -> Table[Any]:
        if name not in self._tables:
            raise UnknownTable(name, tuple(self._tables))
        return self._tables[name]

    # ---- what calls come to

    def _pushing(self, tables: Collection[Table[Any]] | None, *, retry_failed: bool) -> Planned[PushReport]:
        arguments.check_collection(tables)
        names = {self._known(each).name for each in tables} if tables else None
        return lambda session: push(session, names, retry_failed=retry_failed)

    def _pulling(
        self,
        table: Table[Any],
        query: object,
        *,
        name: str | None,
        departures: Departures,
        reconcile: bool,
        push: Push,
        resync: bool,
        parameters: Mapping[str, str] | None,
    ) -> Planned[PullReport]:
        wanted = query_of(self._known(table), query)
        arguments.check_pull(wanted, name, departures, push)
        arguments.check_parameters(parameters or {})
        plan = Pull(
            query=wanted, name=name, departures=departures, reconcile=reconcile, push=push, resync=resync,
            parameters=dict(parameters or {}),
        )  # fmt: skip
        return lambda session: pulling.pull(session, plan)

    def _purging(
        self, table: Table[Any], query: object, *, name: str | None, force: bool
    ) -> Planned[PurgeReport]:
        known = self._known(table)
        if name is not None:
            arguments.check_name(known.name, name)
        wanted = query_of(known, query)
        return lambda session: purge(session, wanted, name=name, force=force)

    def _listing(self, table: Table[Any] | None) -> Callable[[StoreTransaction], list[Operation]]:
        name, session = None if table is None else self._known(table).name, self._opened
        return lambda transaction: listed(session.queue(transaction, time.time()).ledger, name)

    def _disputing(self) -> Callable[[StoreTransaction], list[Conflict]]:
        session = self._opened
        return lambda transaction: resolutions.conflicts(session.queue(transaction, time.time()).ledger)

    def _resolving(self, conflict: Conflict, resolution: Resolution) -> Callable[[Queue], None]:
        arguments.check_kind("resolve", conflict, Conflict, "a conflict that conflicts() listed")
        answer = checked(self._merged, conflict, resolution)
        return lambda queue: resolutions.settle(queue, conflict, answer)

    def _retrying(self, operation: Operation) -> Callable[[Queue], None]:
        arguments.check_kind("retry", operation, Operation, "an operation that operations() listed")
        return lambda queue: resolutions.retry(queue, operation)

    def _mending(self, error: OperationError, how: str, record: Any) -> Callable[[Queue], None]:
        given: Record | None = None
        if how in ("cancel_and_update", "update_operation"):
            stored = error.server if isinstance(error.server, dict) else error.operation.content
            merged = self._merged(error.table, record, stored)
            given = resolutions.under_id(merged, error.record_id)
        return lambda queue: resolutions.resolve_error(queue, error, how, given)

    def _merged(self, table: str, given: Any, under: Record | None) -> Record:
        known = self._named(table)
        record = known.to_record(given)
        return (
            record if under is None else {**known.overlay(given, under), "id": record.get("id", under["id"])}
        )

    # ---- live queries

    def _viewing(self, table: Table[T], query: object, callback: object, poll: object) -> View[T]:
        _, known = self._opened, self._known(table)
        arguments.check_watch(callback, poll)
        return View(known, query_of(known, query))

    # ---- runs of plans

    def _begin_run(self) -> Session:
        session = self._opened
        self._runs += 1
        session.stopping = session.stopping and self._runs > 1
        return session

    # ---- autosync

    def _course(
        self, pulls: Sequence[AutoPull | Table[Any]], online: object, tempo: Tempo, *, on_a_loop: bool
    ) -> Course:
        """An autosync of this context that has not begun; `UsageError` where one is on."""
        _, _ = self._opened, self._wire()
        if self._autosync is not None and self._autosync.on:
            raise UsageError("autosync is on already: stop() it before it begins anew")
        check_tempo(tempo)
        check_online(online, on_a_loop=on_a_loop)
        return Course(planned(pulls, self._known), tempo)

    # ---- events

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call back with every event, after commit, on the thread that caused it; returns a way to stop that.

        An `AsyncSyncContext` calls back on its event loop. An exception in the callback is logged, and breaks nothing.
        """
        arguments.check_subscriber(callback)
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def _tell(self, events: Sequence[Event]) -> None:
        """Tell of a write, or resolution, that was committed: the subscribers, and an autosync."""
        self._emit_all(events)
        if self._autosync is not None and events:
            self._autosync.changed()

    def _emit_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                logger.exception("a subscriber failed at %s", type(event).__name__)


def pending(transaction: StoreTransaction) -> int:
    """How many operations are queued."""
    return Counters(transaction.get(META, [COUNTERS])[0]).pending


def refuse_batch(active: object) -> None:
    """Raise `BatchActive` where a batch is under way."""
    if active is not None:
        raise BatchActive("push, pull, purge, remote tables and watches wait for the end of ctx.batch()")
