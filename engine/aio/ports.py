"""What an event loop has to reach a store and a transport: threads of their own, and turns."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from tidesync.aio.worker import Turn, Worker
from tidesync.answers import unnamed
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import AsyncTransport, Transport
from tidesync.effects import Exchange
from tidesync.errors import TidesyncError
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

    async def apart(self, call: Callable[[], T], then: Callable[[T], None] | None = None) -> T:
        """Have something done on the store's thread when it is nobody else's turn; `then` as `Worker.run` says."""
        await self.turn.take()
        try:
            future = self.thread.submit(call, then)
        finally:
            # What is asked for later comes after it on that thread.
            self.turn.give_back()
        return await future

    async def transact(self, step: Callable[[StoreTransaction, float], T]) -> T:
        """Run the step inside one write transaction."""

        def job() -> T:
            with self.store.transaction(write=True) as transaction:
                return step(transaction, time.time())

        return await self.apart(job)

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

    async def close(self, transport: Transport | AsyncTransport | None) -> None:
        """Release both, and let the threads end; the store is closed whatever becomes of this call."""
        closed = self.thread.submit(self.store.close)
        self.thread.end()
        try:
            if transport is not None and asynchronous(transport):
                await cast(AsyncTransport, transport).close()
            elif transport is not None:
                released = self._wire_thread.submit(cast(Transport, transport).close)
                self._wire_thread.end()
                await released
        finally:
            await closed


def asynchronous(transport: object) -> bool:
    """Whether a transport's calls have to be awaited."""
    return inspect.iscoroutinefunction(getattr(transport, "push", None))
