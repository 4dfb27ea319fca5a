"""The sync context: one local store, one remote, and the tables that are synced between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from tidesync import arguments, face
from tidesync.autosync import Autosync, Online
from tidesync.conflicts import Conflict, Policy, Resolution, defer
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import Transport
from tidesync.course import CLOSING, Pull
from tidesync.drive import Ports, run
from tidesync.effects import Plan
from tidesync.errors import BatchActive, StoreError, UsageError
from tidesync.events import Source
from tidesync.face import Face, Planned
from tidesync.holder import running
from tidesync.objects import Table
from tidesync.operations import Operation
from tidesync.plans.pull import Departures, Push
from tidesync.plans.purge import PurgeReport
from tidesync.queue import Queue
from tidesync.remote import RemoteTable
from tidesync.reports import OperationError, PullReport, PushReport, Settled
from tidesync.rules.pace import Tempo
from tidesync.selection import Rows
from tidesync.session import Session, SyncHandler, connect
from tidesync.tables import SyncTable
from tidesync.watching import EventStream, Outlook, Watch

T = TypeVar("T")


class SyncContext(Face[Transport]):
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
        super().__init__(
            store, transport, tables, policy=policy, policies=policies, handler=handler, page_size=page_size,
            patience=patience,
        )  # fmt: skip
        arguments.check_synchronous(transport, handler, (policy, *(policies or {}).values()))
        self._local = threading.local()
        self._opening = threading.RLock()  # a store or transport of the user may call back

    _entered = "with SyncContext(...)"

    # ---- life

    def open(self) -> Self:
        """Open the store and create or upgrade its tables; does nothing if it is open."""
        with self._opening:
            if self._session is None:
                self._session = self._open_store(self)
        return self

    def close(self) -> None:
        """Release the transport and the store; does nothing if it is closed.

        A push or pull under way elsewhere ends as if the process had: nothing is lost.
        """
        if isinstance(self._autosync, Autosync):
            self._autosync.end("close", CLOSING)
        with self._opening:
            opened, self._session = self._session, None
            if opened is not None:
                opened.stopping = True  # also if the context is opened again before that thread looks
                self._changes.close()
                if self._transport is not None:
                    self._transport.close()
                self._store.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- tables

    def __getitem__(self, table: Table[T]) -> SyncTable[T]:
        """The sync table; `UnknownTable` if the context was not given it."""
        return SyncTable(self, self._known(table))

    def table(self, name: str) -> SyncTable[Any]:
        """The sync table of this name; `UnknownTable` if there is none."""
        return SyncTable(self, self._named(name))

    def remote(self, table: Table[T], parameters: Mapping[str, str] | None = None) -> RemoteTable[T]:
        """The table at the remote, which fails without a network. `parameters` go with every request."""
        known = self._known(table)
        arguments.check_parameters(parameters or {})
        return RemoteTable(self._online, known, parameters or {})

    def _online(self, plan: Callable[[], Plan[T]]) -> T:
        _ = self._drive(connect)
        return run(plan(), self._ports)

    # ---- transactions

    @property
    def _active(self) -> Queue | None:
        """The queue of the batch that is open on this thread."""
        return getattr(self._local, "queue", None)

    def _in_batch(self) -> bool:
        return self._active is not None

    def write(self, step: Callable[[Queue], T], source: Source = "local") -> T:
        """Run one step on the queue in a transaction of its own, or in the batch that is active here."""
        session, active = self._opened, self._active
        if active is not None:
            with self._unbroken():
                return step(active)
        with self._store.transaction(write=True) as transaction:
            queue = session.queue(transaction, time.time())
            result = step(queue)
            events = queue.close(source)
        self._tell(events)
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

        Push, pull and purge inside are `BatchActive`. Writes of other threads, or tasks, wait until it ends.
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
        self._tell(events)

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
        return self._drive(self._pushing(tables, retry_failed=retry_failed))

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
        planned = self._pulling(
            table, query, name=name, departures=departures, reconcile=reconcile, push=push, resync=resync,
            parameters=parameters,
        )  # fmt: skip
        return self._drive(planned)

    def purge(
        self, table: Table[Any], query: object = None, *, name: str | None = None, force: bool = False
    ) -> PurgeReport:
        """Remove records from the local store only, after pushing what is queued on them.

        Raises `PurgeBlocked` if operations remain, and nothing changed; `force` pushes nothing, and drops them. Also
        raises `SyncBusy`.
        Forgets the cursor of `name`, or every cursor of the table if the whole table goes.
        """
        return self._drive(self._purging(table, query, name=name, force=force))

    def autosync(
        self,
        pulls: Sequence[Pull | Table[Any]] = (),
        *,
        every: float = 60.0,
        on_change: bool = True,
        online: Online | None = None,
        quiet: float = 0.5,
        within: float = 5.0,
        backoff: float = 1.0,
        max_backoff: float = 300.0,
    ) -> Autosync:
        """Push and pull by itself until it is stopped: at once, then each `every` seconds, and soon after a write.

        `pulls` are tables, each pulled whole under the name "autosync", and `Pull(table, query, name=…)`. Times are in
        seconds. `every` is counted from the end of a cycle; math.inf: never by time. With `on_change`, local writes are
        pushed when there were none for `quiet` seconds, and `within` so many after the first one at the latest.
        `online` tells whether there is a network, and is asked before each cycle; no, or an exception: nothing is sent,
        and it is asked again within 10 seconds. After a failure the next cycle waits for a random time up to
        `backoff`, which doubles with each failure up to `max_backoff`, and never less than the remote's `retry_after`.
        What is returned tells its `status`, and has `trigger()` and `stop()`. Raises `ConfigurationError`,
        `InvalidQuery`, `UnknownTable`, and `UsageError` where it is on already.
        """
        face.refuse_batch(self._active)
        tempo = Tempo(
            every=every, on_change=on_change, quiet=quiet, within=within, backoff=backoff, max_backoff=max_backoff
        )  # fmt: skip
        with self._opening:
            course = self._course(pulls, online, tempo, on_a_loop=False)
            found = Autosync(
                course, self._drive, self._ports, online, tell=self._emit, held_up=self._in_batch
            )  # fmt: skip
            self._autosync = found.begin()
        return found

    # ---- live queries

    def watch(
        self,
        table: Table[T],
        query: object = None,
        callback: Callable[[Rows[T]], object] | None = None,
        *,
        poll: float | None = 1.0,
    ) -> Watch[T]:
        """A live query: its result at once, and again after changes that make it another, whoever made them.

        Results come by iterating, or to the callback, one after another; however much changed meanwhile, the next is
        the newest, once. What other processes and contexts change is seen within `poll` seconds; None: never.
        Raises `BatchActive`, `ConfigurationError`, `InvalidQuery`.
        """
        face.refuse_batch(self._active)
        arguments.check_plain("this callback", callback)
        return Watch(self._viewing(table, query, callback, poll), self._outlook, callback, poll)

    def events(self, *, buffer: int = 1000, poll: float | None = 1.0) -> EventStream:
        """Every event from now on, to iterate.

        At most `buffer` wait to be read; of more the oldest are dropped, and `EventsMissed` says how many. Nobody who
        writes waits for a reader. `poll` is as for `watch`. Raises `ConfigurationError`.
        """
        _ = self._opened
        arguments.check_buffer(buffer)
        arguments.check_watch(None, poll)
        return EventStream(self._outlook, buffer, poll)

    @property
    def _outlook(self) -> Outlook:
        return Outlook(
            self._changes, self.read, lambda: face.refuse_batch(self._active), self._emit_all, self.subscribe
        )

    # ---- the queue

    @property
    def pending_operations(self) -> int:
        """How many operations are queued, those that were refused or are in conflict included."""
        return self.read(face.pending)

    def operations(self, table: Table[Any] | None = None) -> list[Operation]:
        """What is queued, in order: its state, and why it failed."""
        return self.read(self._listing(table))

    def conflicts(self) -> list[Conflict]:
        """The records in conflict that no policy has settled."""
        return self.read(self._disputing())

    def resolve(self, conflict: Conflict, resolution: Resolution) -> None:
        """Settle a conflict that `conflicts()` listed; `StaleResolution` if the record changed since."""
        self.write(self._resolving(conflict, resolution), "resolution")

    def retry(self, operation: Operation) -> None:
        """Send a refused operation again with the next push; `StaleResolution` if it changed since."""
        self.write(self._retrying(operation), "resolution")

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> Awaitable[None]:
        """Apply a resolution of an `OperationError`; use its methods."""
        self.write(self._mending(error, how, record), "resolution")
        return Settled()

    # ---- plans

    @property
    def _ports(self) -> Ports:
        return Ports(store=self._store, transport=self._wire, emit=self._emit)

    def _drive(self, planned: Planned[T], ports: Ports | None = None) -> T:
        _ = self._opened
        face.refuse_batch(self._active)
        _ = self._wire()
        with self._opening:
            session: Session = self._begin_run()
        try:
            with running(threading.get_ident()):
                return run(planned(session), ports or self._ports)
        finally:
            with self._opening:
                self._runs -= 1
