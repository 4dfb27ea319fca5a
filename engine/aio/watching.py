"""Live queries and event streams on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import attrs

from tidesync.aio.worker import Turn, cancels, lasts
from tidesync.changes import Changes, numbers_in
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import ContextClosed, StoreClosed
from tidesync.events import Event
from tidesync.live import Result, View
from tidesync.selection import Rows
from tidesync.watching import Buffer, Inbox, Notes, Rest, pause, refuse_both, told_elsewhere

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R")
logger = logging.getLogger("tidesync")


class Bell:
    """What a waiting task listens to; any thread may ring it."""

    def __init__(self) -> None:
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()
        self._lock, self._rung = threading.Lock(), False

    def ring(self) -> None:
        """Wake whoever waits."""
        with self._lock:
            if self._rung:
                return
            self._rung = True
        try:
            _ = self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    def silence(self) -> None:
        """What rang is being looked at; from now on it rings again."""
        with self._lock:
            self._rung = False
        self._event.clear()

    async def wait(self, seconds: float | None) -> None:
        """Wait until it rings, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                _ = await self._event.wait()


class AsyncRead(Protocol):
    """Runs a step on one committed state of the store."""

    def __call__(self, step: Callable[[StoreTransaction], U], /) -> Awaitable[U]:
        """What the step returns."""
        ...


@attrs.frozen(eq=False)
class AsyncOutlook:
    """A context as its watches see it: as in `Outlook`. `calling` keeps those that call back."""

    changes: Changes
    read: AsyncRead
    outside: Callable[[], None]
    tell: Callable[[Sequence[Event]], None]
    subscribe: Callable[[Callable[[Event], None]], Callable[[], None]]
    calling: set[AsyncWatch[Any]]

    async def look_elsewhere(self) -> None:
        """See whether somebody else changed records, and tell it."""
        before = self.changes.look()
        self.tell(told_elsewhere(self.changes.others(before, await self.read(numbers_in))))


class AsyncStream(Generic[R]):
    """What comes, one after another, until it is closed: iterate it, or ask for the `next`. Any task may."""

    def __init__(self, inbox: Inbox, bell: Bell, outlook: AsyncOutlook, poll: float | None) -> None:
        self._inbox, self._bell, self._outlook, self._poll = inbox, bell, outlook, poll
        self._turn = Turn()
        outlook.changes.join(inbox)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        found = await self.next()
        if found is None:
            raise StopAsyncIteration
        return found

    async def next(self, timeout: float | None = None) -> R | None:  # noqa: ASYNC109  # as in the synchronous face
        """The next one; None if none comes in so many seconds (None: however long it takes), or it is closed.

        Raises `BatchActive` inside a batch, and what reading the store raises; then it is asked again next time.
        """
        self._outlook.outside()
        until = None if timeout is None else time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                await self._turn.take()
        except TimeoutError:
            return None
        try:
            return await self._come(until)
        finally:
            self._turn.give_back()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or the context was."""
        return self._inbox.closed

    async def close(self) -> None:
        """Nothing more comes; does nothing if it is closed. Closing the context closes it, too."""
        self._end()

    def _end(self) -> None:
        self._outlook.changes.leave(self._inbox)
        self._inbox.ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _take(self) -> R | None:
        raise NotImplementedError

    async def _come(self, until: float | None) -> R | None:
        """Wait. The bell is silenced first and looked at last, so that nothing comes unheard between the two."""
        try:
            while True:
                self._bell.silence()
                found = await self._take()
                if found is not None or self.closed:
                    return found
                now = time.monotonic()
                due = None if self._poll is None else self._outlook.changes.next_look(self._poll)
                if due is not None and due <= now:
                    await self._outlook.look_elsewhere()
                elif until is not None and until <= now:
                    return None
                else:
                    await self._bell.wait(pause(now, until, due))
        except (ContextClosed, StoreClosed):
            if not self.closed:
                raise
            return None


class AsyncWatch(AsyncStream[Rows[T]]):
    """A live query on an event loop: its result at once, and again after changes that make it another.

    Iterating waits for the next result. However much changed meanwhile, it is the newest, once. Use it with
    `async with`, or close it; one that nobody holds is closed. Raises `BatchActive` inside a batch.
    """

    def __init__(
        self,
        view: View[T],
        outlook: AsyncOutlook,
        callback: Callable[[Rows[T]], object] | None,
        poll: float | None,
    ) -> None:
        bell = Bell()
        self._view, self._notes = view, Notes(view.query.table, bell.ring)
        self._last: Result | None = None
        self._task: asyncio.Task[None] | None = None
        self._away = False
        super().__init__(self._notes, bell, outlook, poll)
        if callback is not None:
            name = f"tidesync-watch-{view.query.table}"
            self._task = asyncio.get_running_loop().create_task(self._call_back(callback), name=name)
            outlook.calling.add(self)  # the loop itself keeps no task alive
            self._task.add_done_callback(self._over)

    def __repr__(self) -> str:
        return f"<watch of {self._view.query.table}{', closed' if self.closed else ''}>"

    async def next(self, timeout: float | None = None) -> Rows[T] | None:  # noqa: ASYNC109  # as in the synchronous face
        """The next result; None if none comes in so many seconds (None: however long it takes), or it is closed.

        Raises `BatchActive` inside a batch, and what reading the store raises; then it is asked again next time.
        `UsageError` if this watch has a callback.
        """
        refuse_both(self._task is not None)
        return await super().next(timeout)

    async def close(self) -> None:
        """Nothing more comes; does nothing if it is closed. Closing the context closes it, too.

        A call of the callback that is under way goes on to its end, and is not waited for.
        """
        await super().close()
        if self._task is not None and lasts(self._task) and not self._away:
            _ = self._task.cancel()  # it may wait for a batch to end, which may be the caller's
            _ = await asyncio.wait((self._task,))

    async def _take(self) -> Rows[T] | None:
        changed = None if self.closed else self._notes.take()
        if changed is None:
            return None
        try:
            found = await self._outlook.read(self._view.look(self._last, changed))
        except BaseException:
            self._notes.give_back(changed)
            raise
        if found is None:
            return None
        self._last, rows = found
        return rows

    async def _call_back(self, callback: Callable[[Rows[T]], object]) -> None:
        rest = Rest()
        while not self.closed:
            try:
                rows = await self._come(None)
            except Exception:
                logger.exception("a watch of %s could not look", self._view.query.table)
                await self._bell.wait(rest.longer())
                continue
            rest = Rest()
            if rows is not None and not self.closed:
                await self._call(callback, rows)

    def _over(self, _task: asyncio.Task[None]) -> None:
        """Its task has ended: it was closed, or cancelled, as the end of the loop does."""
        self._outlook.calling.discard(self)
        self._end()

    async def _call(self, callback: Callable[[Rows[T]], object], rows: Rows[T]) -> None:
        self._away = True
        try:
            answer = callback(rows)
            if inspect.isawaitable(answer):
                _ = await cast("Awaitable[object]", answer)
        except (Exception, asyncio.CancelledError) as error:
            if cancels(error):
                raise
            logger.exception("the callback of a watch of %s failed", self._view.query.table)
        finally:
            self._away = False


class AsyncEventStream(AsyncStream[Event]):
    """Every event of a context from now on, on an event loop. Iterating waits for the next one.

    At most `buffer` wait to be read; of more the oldest are dropped, and `EventsMissed` says how many, in their place.
    """

    def __init__(self, outlook: AsyncOutlook, buffer: int, poll: float | None) -> None:
        bell = Bell()
        self._buffer = Buffer(buffer, bell.ring)
        self._stop = self._buffer.hear(outlook.subscribe)
        super().__init__(self._buffer, bell, outlook, poll)

    async def close(self) -> None:
        """Nothing more comes but what waits to be read; does nothing if it is closed.

        Closing the context closes it, too.
        """
        self._stop()
        await super().close()

    async def _take(self) -> Event | None:
        return self._buffer.take()
