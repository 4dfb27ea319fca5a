"""Autosync as a task of an event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

import attrs

from tidesync.aio.worker import cancels, lasts
from tidesync.contracts.store import StoreTransaction
from tidesync.course import NAP, REFUSING, AutosyncStatus, Course, halted
from tidesync.drive import AsyncPorts
from tidesync.effects import Exchange, Plan
from tidesync.events import CycleStarted, Event, StopReason
from tidesync.plans.cycle import Cycle
from tidesync.rules.pace import Turn
from tidesync.session import Session

T = TypeVar("T")
logger = logging.getLogger("tidesync")
AsyncDrive: TypeAlias = Callable[[Callable[[Session], Plan[Cycle]], AsyncPorts], Awaitable[Cycle]]
AsyncOnline: TypeAlias = Callable[[], bool | Awaitable[bool]]


@attrs.frozen
class _Gate:
    """The ports of a context, until the autosync is stopped: from then on nothing is sent."""

    inner: AsyncPorts
    course: Course

    async def transact(self, step: Callable[[StoreTransaction, float], T], late: Callable[[T], None], /) -> T:
        return await self.inner.transact(step, late)

    async def exchange(self, exchange: Exchange[T]) -> T:
        if self.course.halted is not None:
            return exchange.perform(REFUSING)
        return await self.inner.exchange(exchange)

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)
        if self.course.halted is not None:
            raise halted()

    def emit(self, event: Event, /) -> None:
        self.inner.emit(event)


class Ending:
    """The end of an autosync, which comes whether it is awaited or not."""

    def __init__(self, wait: Callable[[], Coroutine[object, object, None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[object, object, None]:
        return self._wait().__await__()


class AsyncAutosync:
    """Pushes and pulls by itself until it is stopped; `ctx.autosync(…)` returns it, begun.

    It is stopped by `stop()`, by the end of an `async with` block, when its context is closed, and when its task is
    cancelled, as the end of the event loop does.
    """

    def __init__(
        self,
        course: Course,
        drive: AsyncDrive,
        ports: AsyncPorts,
        online: AsyncOnline | None,
        *,
        tell: Callable[[Event], None],
        held_up: Callable[[], bool],
    ) -> None:
        self._course, self._drive, self._online = course, drive, online
        self._tell, self._held_up = tell, held_up
        self._ports = _Gate(ports, course)
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="tidesync-autosync")
        self._task.add_done_callback(self._over)

    def __repr__(self) -> str:
        return f"<autosync, {self.status.state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = self.stop()
        if isinstance(error, asyncio.CancelledError):  # nobody wants to wait for an exchange
            _ = self._task.cancel()
        await ending

    @property
    def status(self) -> AutosyncStatus:
        """What it does, and what happened last."""
        return self._course.status()

    @property
    def on(self) -> bool:
        """Whether it goes on: it has not ended, and was not stopped."""
        return self._course.halted is None and lasts(self._task)

    def trigger(self) -> None:
        """Ask for a cycle at once, and return; one that is under way is followed by one more.

        It waits for no backoff, but never comes before the time that the remote named (`retry_after`). Pulls that rest
        are tried again. After the end it does nothing. Any thread may call it.
        """
        self._at_home(lambda: self._hurry(self._course.pace.trigger))

    def stop(self, timeout: float | None = None) -> Awaitable[None]:
        """End it, and wait until it has ended: the exchange under way comes to its end, and nothing else is sent.

        Waits for `timeout` seconds at the most (None: as long as the transport takes); it then ends by itself. Called
        by what autosync itself calls (a subscriber, policy, handler, `online`), or in a batch, it does not wait: that
        would be for itself. Does nothing if it has ended.
        """
        self._halt("stop")
        return Ending(lambda: self._ended(timeout))

    async def end(self, why: StopReason, patience: float) -> None:
        """End it for this reason, as `stop` does; it is cancelled when the time is over."""
        self._halt(why)
        await self._ended(patience)
        if self._task is not asyncio.current_task() and lasts(self._task):
            _ = self._task.cancel()
            _ = await asyncio.wait({self._task})

    def changed(self) -> None:
        """Something was written here."""
        now = time.monotonic()
        self._hurry(lambda: self._course.pace.changed(now))

    # ---- the task

    def _at_home(self, call: Callable[[], None]) -> None:
        """Call it on the loop: now if this is there, soon if this is another thread, not at all if it has ended."""
        loop = self._task.get_loop()
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            call()
        else:
            with suppress(RuntimeError):
                _ = loop.call_soon_threadsafe(call)

    def _halt(self, why: StopReason) -> None:
        self._course.halted = self._course.halted or why
        self._at_home(self._wake.set)

    async def _ended(self, patience: float | None) -> None:
        if self._task is asyncio.current_task() or not lasts(self._task) or self._held_up():
            return
        try:
            _ = await asyncio.wait({self._task}, timeout=patience)
        except asyncio.CancelledError:
            _ = self._task.cancel()
            _ = await asyncio.wait({self._task})
            raise

    def _hurry(self, what: Callable[[], None]) -> None:
        if self.on and self._course.hurried(what):
            self._wake.set()

    async def _run(self) -> None:
        while (turn := await self._next()) is not None:
            await self._cycle(turn)

    def _over(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._course.halted = self._course.halted or "cancelled"
        self._tell(self._course.stopped(None if task.cancelled() else task.exception()))

    async def _next(self) -> Turn | None:
        """Wait until a turn is due, and take it; None if it was stopped."""
        while self._course.halted is None and self._course.pace.state != "stopped":
            left = self._course.left
            if left <= 0:
                return self._course.pace.take(time.monotonic())
            self._wake.clear()
            timer = asyncio.get_running_loop().call_later(min(left, NAP), self._wake.set)
            try:
                _ = await self._wake.wait()
            finally:
                timer.cancel()
        return None

    async def _cycle(self, turn: Turn) -> None:
        if not await self._is_online():
            told = self._course.offline()
        else:
            self._course.pace.began()
            self._tell(CycleStarted(turn.why))
            done = Cycle()
            try:
                done = await self._drive(self._course.plan(turn), self._ports)
            except asyncio.CancelledError as error:
                if cancels(error):
                    raise
                failed = RuntimeError("a policy or handler awaited what was cancelled")
                failed.__cause__ = error
                done.note(failed)
            except Exception as error:  # noqa: BLE001  # such as that the context was closed
                done.note(error)
            told = self._course.ended(done)
        for event in told:
            self._tell(event)

    async def _is_online(self) -> bool:
        try:
            answer = True if self._online is None else self._online()
            return bool(await answer if inspect.isawaitable(answer) else answer)
        except (Exception, asyncio.CancelledError) as error:
            if cancels(error):
                raise
            logger.exception("the online predicate of autosync failed: that counts as no")
            return False
