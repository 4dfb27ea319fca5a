"""One thread that does one thing after another, for an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class _Job(Generic[T]):
    """Something to do, and who waits for it. `then` runs on the loop once it is done, also if nobody waits any more."""

    call: Callable[[], T]
    then: Callable[[T], None] | None
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    begun: bool = False

    def run(self) -> None:
        """Do it, on the worker's thread."""
        self.begun = True
        if self.future.cancelled():
            return
        try:
            result = self.call()
        except BaseException as error:  # noqa: BLE001  # whoever waits for it decides
            self._tell(self._failed, error)
        else:
            self._tell(self._done, result)

    def _tell(self, how: Callable[[Any], None], what: object) -> None:
        try:
            _ = self.loop.call_soon_threadsafe(how, what)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    def _done(self, result: T) -> None:
        if self.then is not None:
            self.then(result)
        if not self.future.cancelled():
            self.future.set_result(result)

    def _failed(self, error: BaseException) -> None:
        if not self.future.cancelled():
            self.future.set_exception(error)


class Worker:
    """A thread of its own, begun when it is first needed; what it is given is done in that order.

    What a cancelled caller asked for is not done if it has not begun; else it goes on to its end, and what is asked
    for later comes after it. The thread is a daemon: it keeps no program from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job[Any] | None] | None = None

    def submit(self, call: Callable[[], T], then: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Have it done after all that was asked for before; the future is of the running loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._jobs is None:
            self._jobs = SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        self._jobs.put(_Job(call, then, loop, future))
        return future

    async def run(self, call: Callable[[], T], then: Callable[[T], None] | None = None) -> T:
        """Have it done, and wait for it; `then` is given the result, on the loop, also if nobody waits any more."""
        return await self.submit(call, then)

    def end(self) -> None:
        """Let the thread end after what it was given; it begins anew when it is needed again."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _work(jobs: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job


class Turn:
    """Whose turn it is on an event loop: first come, first served, and nobody waits who need not."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for the turn."""
        if not self._taken and not self._waiting:
            self._taken = True
            return
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(gate)
        try:
            await gate
        except asyncio.CancelledError:
            if gate.done() and not gate.cancelled():
                self.give_back()
            else:
                self._waiting.remove(gate)
            raise

    def give_back(self) -> None:
        """End the turn; the longest waiting has the next."""
        while self._waiting:
            gate = self._waiting.popleft()
            if not gate.done():
                gate.set_result(None)
                return
        self._taken = False
