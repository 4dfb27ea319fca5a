"""A batch on an event loop: one store transaction that is open from one `await` to another."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Final, TypeVar

from tidesync.aio.ports import LoopPorts
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import BatchActive, StoreClosed, StoreError, UsageError
from tidesync.events import Event
from tidesync.queue import Queue
from tidesync.session import Session

T = TypeVar("T")
CLOSED: Final = "this batch ended when its context was closed: nothing of it is kept"
_batches: ContextVar[tuple[AsyncBatch, ...]] = ContextVar("batches", default=())


class AsyncBatch:
    """Many writes in one store transaction; the tasks begun inside it belong to it as long as it lasts."""

    def __init__(
        self, ports: LoopPorts, opened: Callable[[], Session], tell: Callable[[list[Event]], None]
    ) -> None:
        self._ports, self._opened, self._tell = ports, opened, tell
        self._used = self._lasts = False
        self._transaction: AbstractContextManager[StoreTransaction] | None = None
        self._queue: Queue | None = None
        self._broken: BaseException | None = None

    @staticmethod
    def active(ports: LoopPorts) -> AsyncBatch | None:
        """The batch that this task is in, of the context with these ports."""
        mine = (batch for batch in _batches.get() if batch._ports is ports and batch._lasts)
        return next(mine, None)

    async def __aenter__(self) -> None:
        session = self._opened()
        if AsyncBatch.active(self._ports) is not None:
            raise BatchActive("a batch inside a batch: one is enough")
        if self._used:
            raise UsageError("a batch is entered once: for another one call batch() again")
        self._used, self._turn = True, self._ports.turn
        await self._turn.take()
        try:
            await self._ports.thread.run(lambda: self._begin(session))
        except BaseException:
            # If it has begun by then, it ends again.
            self._ports.thread.leave(self._drop)
            self._turn.give_back()
            raise
        self._lasts, self._ports.drop = True, self._drop
        _batches.set((*(batch for batch in _batches.get() if batch._lasts), self))  # not those that are over

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # From here on the tasks that it leaves behind are on their own.
        self._lasts, self._ports.drop = False, None
        _batches.set(tuple(batch for batch in _batches.get() if batch is not self))
        ending = self._ports.thread.submit(lambda: self._end(error), self._tell, sure=True)
        self._turn.give_back()
        _ = await ending

    async def write(self, step: Callable[[Queue], T]) -> T:
        """Run one step on the queue of the batch."""
        return await self._ports.thread.run(lambda: self._inside(step))

    async def read(self, step: Callable[[StoreTransaction], T]) -> T:
        """Run one step on what the batch has made of the store."""

        def flushed(queue: Queue) -> T:
            queue.ledger.flush()
            return step(queue.ledger.transaction)

        return await self._ports.thread.run(lambda: self._inside(flushed))

    # ---- on the store's thread

    def _begin(self, session: Session) -> None:
        transaction = self._ports.store.transaction(write=True)
        began = transaction.__enter__()
        try:
            self._queue = session.queue(began, time.time())
        except BaseException as error:
            _ = transaction.__exit__(type(error), error, error.__traceback__)
            raise
        self._transaction = transaction

    def _inside(self, step: Callable[[Queue], T]) -> T:
        """What is refused in a batch has changed nothing; what failed otherwise may have, and spoils it."""
        if self._queue is None:
            raise StoreClosed(CLOSED)
        try:
            return step(self._queue)
        except UsageError:
            raise
        except BaseException as error:
            self._broken = error
            raise

    def _end(self, error: BaseException | None) -> list[Event]:
        queue, self._queue = self._queue, None
        if queue is None:
            if error is None:
                raise StoreClosed(CLOSED)
            return []
        assert self._transaction is not None
        if error is not None:
            _ = self._transaction.__exit__(type(error), error, None)
            return []
        try:
            if self._broken is not None:
                raise StoreError(
                    "the store failed inside this batch: nothing of it is kept"
                ) from self._broken
            events = queue.close("local")
        except BaseException as failed:
            _ = self._transaction.__exit__(type(failed), failed, None)
            raise
        _ = self._transaction.__exit__(None, None, None)
        return events

    def _drop(self) -> None:
        """End it, if it has begun, with nothing kept."""
        _ = self._end(StoreClosed(CLOSED))
