"""One thread that does one thing after another, for an event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

T = TypeVar("T")
Then: TypeAlias = Callable[[T], None]


@attrs.define(eq=False)
class _Job(Generic[T]):
    """Something to do, and who waits for it, as `Worker.submit` says."""

    call: Callable[[], T]
    then: Then[T] | None
    late: Then[T] | None
    sure: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]

    def run(self) -> None:
        """Do it, on the worker's thread."""
        if self.future.cancelled() and not self.sure:
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
        try:
            if self.then is not None:
                self.then(result)
            if self.late is not None and self.future.cancelled():
                self.late(result)
        finally:
            if not self.future.cancelled():
                self.future.set_result(result)

    def _failed(self, error: BaseException) -> None:
        if not self.future.cancelled():
            if isinstance(error, StopIteration):  # a future refuses it, since it would end who awaits it
                error = RuntimeError(f"StopIteration: {error}").with_traceback(error.__traceback__)
            self.future.set_exception(error)


class _Line:
    """What a worker and its thread share. The thread does not hold the worker: one that is forgotten ends."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self.ended = False

    def end(self) -> None:
        """The thread ends once there is nothing left to do."""
        self.ended = True
        self.jobs.put(None)  # and looks, if it waits

    def work(self) -> None:
        """What the thread does."""
        while True:
            job = self.jobs.get()
            if job is not None:
                job.run()
            del job
            if self.ended:
                with self.lock:
                    if self.ended and self.jobs.empty():
                        self.thread = None
                        return


class Worker:
    """A thread of its own, begun when it is first needed; what it is given is done in that order.

    What a cancelled caller asked for is not done if it has not begun; else it goes on to its end, and what is asked
    for later comes after it. The thread is a daemon: it keeps no program from ending.
    """

    def __init__(self, name: str) -> None:
        self._name, self._line = name, _Line()
        _ = weakref.finalize(self, self._line.end)

    def submit(
        self,
        call: Callable[[], T],
        then: Then[T] | None = None,
        *,
        late: Then[T] | None = None,
        sure: bool = False,
    ) -> asyncio.Future[T]:
        """Have it done after all that was asked for before; the future is of the running loop.

        `then` is given the result, on the loop, also if nobody waits for it any more; `late` only in that case.
        `sure`: it is done even if its caller was cancelled before it began.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        line = self._line
        with line.lock:
            line.jobs.put(_Job(call, then, late, sure, loop, future))
            if line.thread is None or not line.thread.is_alive():  # in a forked process it is not
                line.thread = threading.Thread(target=line.work, name=self._name, daemon=True)
                line.thread.start()
        return future

    async def run(self, call: Callable[[], T]) -> T:
        """Have it done, and wait for it."""
        return await self.submit(call)

    def leave(self, call: Callable[[], object]) -> None:
        """Have it done though nobody waits for it; that it failed is told to nobody."""
        self.submit(call, sure=True).add_done_callback(lambda done: done.cancelled() or done.exception())

    def begin(self) -> None:
        """Keep the thread, once it is there, until `end`."""
        self._line.ended = False

    def end(self) -> None:
        """Let the thread end after what it was given; what is given later has one for as long as it takes."""
        self._line.end()


def lasts(task: asyncio.Task[object]) -> bool:
    """Whether a task goes on; one of a loop that was closed never does, nor can it be waited for."""
    return not task.done() and not task.get_loop().is_closed()


def cancels(error: BaseException) -> bool:
    """Whether this is the cancellation of this task, and not of something that it awaited."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class Turn:
    """Whose turn it is on an event loop: first come, first served, and nobody waits who need not."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for the turn."""
        gate = self._gate()
        if gate is None:
            return
        try:
            await gate
        except asyncio.CancelledError:
            if not gate.cancel() and not gate.cancelled():  # it came in the same moment
                self.give_back()
            raise

    def when(self, call: Callable[[], None]) -> None:
        """Take the turn when it comes, and then call; nobody waits for that."""
        gate = self._gate()
        if gate is None:
            call()
        else:
            gate.add_done_callback(lambda _: call())

    def _gate(self) -> asyncio.Future[None] | None:
        if not self._taken:
            self._taken = True
            return None
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(gate)
        return gate

    def give_back(self) -> None:
        """End the turn; the longest waiting has the next."""
        while self._waiting:
            gate = self._waiting.popleft()
            if not gate.done():
                gate.set_result(None)
                return
        self._taken = False
