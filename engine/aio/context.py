"""The sync context on an event loop: one local store, one remote, and the tables synced between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from tidesync import arguments, face
from tidesync.aio.autosync import AsyncAutosync, AsyncOnline
from tidesync.aio.batch import AsyncBatch
from tidesync.aio.home import Home
from tidesync.aio.ports import LoopPorts
from tidesync.aio.remote import AsyncRemoteTable
from tidesync.aio.tables import AsyncSyncTable
from tidesync.aio.watching import AsyncEventStream, AsyncOutlook, AsyncWatch
from tidesync.conflicts import AsyncPolicy, Conflict, Policy, Resolution, defer
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import AsyncTransport, Transport
from tidesync.course import CLOSING, Pull
from tidesync.drive import AsyncPorts, arun
from tidesync.effects import Plan
from tidesync.events import Event, Source
from tidesync.face import Face, Planned
from tidesync.holder import running
from tidesync.objects import Table
from tidesync.operations import Operation
from tidesync.plans.pull import Departures, Push
from tidesync.plans.purge import PurgeReport
from tidesync.queue import Queue
from tidesync.reports import OperationError, PullReport, PushReport
from tidesync.rules.pace import Tempo
from tidesync.selection import Rows
from tidesync.session import AsyncSyncHandler, Session, connect

T = TypeVar("T")


class AsyncSyncContext(Face[AsyncTransport | Transport]):
    """Local tables that work without a network, and their push, pull and purge: `SyncContext` with `await`.

    Construction does no I/O; `async with` (or `open`) opens the store and creates or upgrades its tables. The store
    is any; its transactions run on one thread of their own. A transport that is synchronous has another. Policies
    and handlers may be coroutine functions; policies, subscribers and the first part of either run on the event loop.
    Any number of tasks of one event loop may use it. A call that is cancelled leaves the store, the queue and the
    lease as a crash at that moment would: what has begun on the store's thread goes on to its end, and what is asked
    for later comes after it. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        store: Store,
        transport: AsyncTransport | Transport | None = None,
        tables: Sequence[Table[Any]] = (),
        *,
        policy: Policy | AsyncPolicy = defer,
        policies: Mapping[Table[Any], Policy | AsyncPolicy] | None = None,
        handler: AsyncSyncHandler | None = None,
        page_size: int = 1000,
        patience: float = 30.0,
    ) -> None:
        super().__init__(
            store, transport, tables, policy=policy, policies=policies, handler=handler, page_size=page_size,
            patience=patience,
        )  # fmt: skip
        self._ports = LoopPorts(self._store, self._wire, self._emit)
        self._home = Home()
        self._settling: set[asyncio.Task[None]] = set()
        self._calling: set[AsyncWatch[Any]] = set()

    _entered = "async with AsyncSyncContext(...)"

    # ---- life

    async def open(self) -> Self:
        """Open the store and create or upgrade its tables; does nothing if it is open."""
        left = self._home.move(is_open=self._session is not None)
        async with self._home:
            if left:
                with suppress(Exception):  # of a transport that was of the loop that ended
                    await self._close(left=True)
            if self._session is None:
                self._ports.begin()
                try:
                    self._session = await self._ports.thread.run(lambda: self._open_store(self))
                except asyncio.CancelledError:
                    self._ports.thread.leave(self._store.close)
                    raise
                finally:
                    if self._session is None:
                        self._ports.end()
        return self

    async def close(self) -> None:
        """Release the transport and the store; does nothing if it is closed.

        A push or pull under way elsewhere ends as if the process had: nothing is lost.
        """
        if self._home.is_changing:  # what is being closed may have an opinion
            return
        left = self._home.move(is_open=self._session is not None)
        async with self._home:
            await self._close(left=left)

    async def _close(self, *, left: bool) -> None:
        """`left`: by a loop that has ended, and its tasks with it."""
        opened, self._session = self._session, None
        if opened is not None:
            opened.stopping = True  # also if the context is opened again before that task looks
            self._changes.close()
            try:
                if isinstance(self._autosync, AsyncAutosync) and not left:
                    await self._autosync.end("close", CLOSING)
            finally:
                calling, self._calling = self._calling, set()
                await self._ports.close(self._transport)
            for watch in () if left else tuple(calling):
                await watch.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def _opened(self) -> Session:
        session = self._present()
        self._home.check()
        return session

    # ---- tables

    def __getitem__(self, table: Table[T]) -> AsyncSyncTable[T]:
        """The sync table; `UnknownTable` if the context was not given it."""
        return AsyncSyncTable(self, self._known(table), self._aside)

    def table(self, name: str) -> AsyncSyncTable[Any]:
        """The sync table of this name; `UnknownTable` if there is none."""
        return AsyncSyncTable(self, self._named(name), self._aside)

    def remote(self, table: Table[T], parameters: Mapping[str, str] | None = None) -> AsyncRemoteTable[T]:
        """The table at the remote, which fails without a network. `parameters` go with every request."""
        known = self._known(table)
        arguments.check_parameters(parameters or {})
        return AsyncRemoteTable(self._online, self._aside, known, parameters or {})

    async def _online(self, plan: Callable[[], Plan[T]]) -> T:
        _ = await self._drive(connect)
        return await arun(plan(), self._ports)

    async def _aside(self, call: Callable[[], T]) -> T:
        _ = self._opened
        return await self._ports.thread.run(call)

    # ---- transactions

    @property
    def _active(self) -> AsyncBatch | None:
        """The batch that this task is in."""
        return AsyncBatch.active(self._ports)

    def _in_batch(self) -> bool:
        return self._active is not None

    async def write(self, step: Callable[[Queue], T], source: Source = "local") -> T:
        """Run one step on the queue in a transaction of its own, or in the batch that is active here."""
        session, active = self._opened, self._active
        if active is not None:
            return await active.write(step)

        def job() -> tuple[T, list[Event]]:
            with self._store.transaction(write=True) as transaction:
                queue = session.queue(transaction, time.time())
                result = step(queue)
                return result, queue.close(source)

        result, _ = await self._ports.apart(job, lambda done: self._tell(done[1]))
        return result

    async def read(self, step: Callable[[StoreTransaction], T]) -> T:
        """Run one step on one committed state of the store, or on what the active batch has made of it."""
        _, active = self._opened, self._active
        if active is not None:
            return await active.read(step)

        def job() -> T:
            with self._store.transaction(write=False) as transaction:
                return step(transaction)

        return await self._ports.apart(job)

    def batch(self) -> AsyncBatch:
        """Many writes in one store transaction, all or nothing. Reads inside see the writes.

        Push, pull and purge inside are `BatchActive`. Writes of other threads, or tasks, wait until it ends.
        """
        return AsyncBatch(self._ports, lambda: self._opened, self._tell)

    # ---- sync

    async def push(
        self, tables: Collection[Table[Any]] | None = None, *, retry_failed: bool = False
    ) -> PushReport:
        """Send what is queued, in an order that the remote can accept; returns a report if all of it went through.

        `tables` None or empty: all; else those, and what they depend on in others. `retry_failed` sends again what
        was refused. Raises `PushFailed` with `.report` and `.errors`, `SyncBusy`, `RemoteChanged`.
        """
        return await self._drive(self._pushing(tables, retry_failed=retry_failed))

    async def pull(
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
        return await self._drive(planned)

    async def purge(
        self, table: Table[Any], query: object = None, *, name: str | None = None, force: bool = False
    ) -> PurgeReport:
        """Remove records from the local store only, after pushing what is queued on them.

        Raises `PurgeBlocked` if operations remain, and nothing changed; `force` pushes nothing, and drops them. Also
        raises `SyncBusy`.
        Forgets the cursor of `name`, or every cursor of the table if the whole table goes.
        """
        return await self._drive(self._purging(table, query, name=name, force=force))

    def autosync(
        self,
        pulls: Sequence[Pull | Table[Any]] = (),
        *,
        every: float = 60.0,
        on_change: bool = True,
        online: AsyncOnline | None = None,
        quiet: float = 0.5,
        within: float = 5.0,
        backoff: float = 1.0,
        max_backoff: float = 300.0,
    ) -> AsyncAutosync:
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
        course = self._course(pulls, online, tempo, on_a_loop=True)
        found = self._autosync = AsyncAutosync(
            course, self._drive, self._ports, online, tell=self._emit, held_up=self._in_batch
        )
        return found

    # ---- live queries

    def watch(
        self,
        table: Table[T],
        query: object = None,
        callback: Callable[[Rows[T]], object] | None = None,
        *,
        poll: float | None = 1.0,
    ) -> AsyncWatch[T]:
        """A live query: its result at once, and again after changes that make it another, whoever made them.

        Results come by iterating, or to the callback, one after another; however much changed meanwhile, the next is
        the newest, once. What other processes and contexts change is seen within `poll` seconds; None: never.
        Raises `BatchActive`, `ConfigurationError`, `InvalidQuery`.
        """
        face.refuse_batch(self._active)
        return AsyncWatch(self._viewing(table, query, callback, poll), self._outlook, callback, poll)

    def events(self, *, buffer: int = 1000, poll: float | None = 1.0) -> AsyncEventStream:
        """Every event from now on, to iterate.

        At most `buffer` wait to be read; of more the oldest are dropped, and `EventsMissed` says how many. Nobody who
        writes waits for a reader. `poll` is as for `watch`. Raises `ConfigurationError`.
        """
        _ = self._opened
        arguments.check_buffer(buffer)
        arguments.check_watch(None, poll)
        return AsyncEventStream(self._outlook, buffer, poll)

    @property
    def _outlook(self) -> AsyncOutlook:
        return AsyncOutlook(
            self._changes, self.read, lambda: face.refuse_batch(self._active), self._emit_all, self.subscribe,
            self._calling,
        )  # fmt: skip

    # ---- the queue

    @property
    def pending_operations(self) -> Awaitable[int]:
        """How many operations are queued, those that were refused or are in conflict included."""
        return self.read(face.pending)

    async def operations(self, table: Table[Any] | None = None) -> list[Operation]:
        """What is queued, in order: its state, and why it failed."""
        return await self.read(self._listing(table))

    async def conflicts(self) -> list[Conflict]:
        """The records in conflict that no policy has settled."""
        return await self.read(self._disputing())

    async def resolve(self, conflict: Conflict, resolution: Resolution) -> None:
        """Settle a conflict that `conflicts()` listed; `StaleResolution` if the record changed since."""
        await self.write(self._resolving(conflict, resolution), "resolution")

    async def retry(self, operation: Operation) -> None:
        """Send a refused operation again with the next push; `StaleResolution` if it changed since."""
        await self.write(self._retrying(operation), "resolution")

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> Awaitable[None]:
        """Apply a resolution of an `OperationError`; use its methods."""
        _, step = self._opened, self._mending(error, how, record)
        task = asyncio.ensure_future(self.write(step, "resolution"))
        self._settling.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._settling.discard)
        return task

    # ---- plans

    async def _drive(self, planned: Planned[T], ports: AsyncPorts | None = None) -> T:
        _ = self._opened
        face.refuse_batch(self._active)
        _ = self._wire()
        session = self._begin_run()
        try:
            with running(asyncio.current_task()) as run:
                try:
                    return await arun(planned(session), ports or self._ports)
                except asyncio.CancelledError:
                    self._ports.let_go(run)  # other processes cannot tell that it is over
                    raise
        finally:
            self._runs -= 1
