"""What an event loop has to reach a store and a transport: threads of their own, and turns."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar, cast

from tidesync import lease
from tidesync.aio.worker import Then, Turn, Worker
from tidesync.answers import unnamed
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import AsyncTransport, Transport
from tidesync.effects import Exchange
from tidesync.errors import StoreError, TidesyncError
from tidesync.events import Event

T = TypeVar("T")


class LoopPorts:
    """One store and one way to its remote, for the plans and calls of one event loop.

    Transactions run on one thread, in turn: whoever holds the turn (a batch) keeps everyone else's waiting. A
    synchronous transport has another thread, on which its calls are made one after another.
    """

    def __init__(
        self, store: Store, wire: Callable[[], Transport | AsyncTransport], emit: Callable[[Event], None]
    ) -> None:
        self.store, self.wire, self.emit = store, wire, emit
        self.turn, self.thread = Turn(), Worker("tidesync-store")
        self._wire_thread = Worker("tidesync-transport")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.drop: Callable[[], None] | None = None
        """Ends the batch that is under way, on the store's thread."""

    # ---- life

    def begin(self) -> None:
        """Keep the threads, once they are there; who waited for a turn on a loop that has ended waits no more."""
        if self._loop is not asyncio.get_running_loop():
            self._loop, self.turn = asyncio.get_running_loop(), Turn()
        self.thread.begin()
        self._wire_thread.begin()

    def end(self) -> None:
        """Let the threads end, after what they were given."""
        self.thread.end()
        self._wire_thread.end()

    async def close(self, transport: Transport | AsyncTransport | None) -> None:
        """Release both, and let the threads end; the store is closed whatever becomes of this call."""
        if self.drop is not None:
            self.thread.leave(self.drop)
            self.drop = None
        closed = self.thread.submit(self.store.close, sure=True)
        self.end()
        try:
            if transport is not None and asynchronous(transport):
                await cast(AsyncTransport, transport).close()
            elif transport is not None:
                # Not behind an exchange that hangs: this is what ends it.
                closing = Worker("tidesync-closing")
                released = closing.submit(cast(Transport, transport).close, sure=True)
                closing.end()
                await released
        finally:
            await closed

    # ---- the store

    def _asked(
        self, call: Callable[[], T], then: Then[T] | None = None, late: Then[T] | None = None
    ) -> asyncio.Future[T]:
        """Who has the turn asks for it, and gives it back: what is asked for later comes after it on that thread."""
        try:
            return self.thread.submit(call, then, late=late)
        finally:
            self.turn.give_back()

    async def apart(self, call: Callable[[], T], then: Then[T] | None = None) -> T:
        """Have something done on the store's thread when it is nobody else's turn; `then` as `Worker` says."""
        await self.turn.take()
        return await self._asked(call, then)

    async def transact(self, step: Callable[[StoreTransaction, float], T], late: Then[T]) -> T:
        """Run the step inside one write transaction; `late` as `AsyncPorts` says."""

        def job() -> T:
            with self.store.transaction(write=True) as transaction:
                return step(transaction, time.time())

        await self.turn.take()
        future = self._asked(job, late=late)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                late(future.result())
            raise

    def let_go(self, run: str) -> None:
        """Let go of the lease of a run that was given up, after all that it has asked for; nobody waits for that."""

        def job() -> None:
            with suppress(StoreError), self.store.transaction(write=True) as transaction:
                lease.let_go(transaction, run)

        def begin() -> None:
            self.thread.leave(job)
            self.turn.give_back()

        self.turn.when(begin)

    # ---- the remote

    async def exchange(self, exchange: Exchange[T]) -> T:
        """Make one exchange with the remote, and look at its answer."""
        transport = self.wire()
        if not asynchronous(transport):
            synchronous = cast(Transport, transport)
            return await self._wire_thread.run(lambda: exchange.perform(synchronous))
        try:
            answer = await cast("Awaitable[T]", exchange.ask(transport))
        except TidesyncError:
            raise
        except Exception as error:
            raise unnamed(error) from error
        if exchange.large:  # to look at a thousand records takes longer than a loop may be held up
            return await self.thread.run(lambda: exchange.sound(answer))
        return exchange.sound(answer)

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)


def asynchronous(transport: object) -> bool:
    """Whether a transport's calls have to be awaited."""
    return inspect.iscoroutinefunction(getattr(transport, "push", None))
