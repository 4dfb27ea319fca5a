"""Every point at which a coroutine really suspends: counted, and cancelled exactly there."""

import asyncio
import threading
from collections.abc import Coroutine, Generator
from typing import Any, Literal, TypeAlias

import attrs

from tidesync.aio.ports import LoopPorts

When: TypeAlias = Literal["before", "during", "after"]
"""When the cancellation comes to a job of the store's thread that the point waits for: it has not begun; it has
ended, and nobody knows yet; its result is there, and its caller has not been woken."""


@attrs.define
class Points:
    """Awaited as the coroutine is, and cancels the task that awaits it at its point number `at`, from 1.

    `again`: and at each point after that one, while it cleans up.
    """

    coroutine: Coroutine[Any, Any, Any]
    ports: LoopPorts
    at: int = 0
    when: When = "during"
    again: bool = False
    count: int = 0
    """How many points there were."""

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.coroutine.__await__()
        answer: Any = None
        raised: BaseException | None = None
        while True:
            here = self.count + 1 == self.at or (self.again and 0 < self.at <= self.count)
            gate = self._held() if here and self.when == "before" else None
            try:
                point = steps.send(answer) if raised is None else steps.throw(raised)
            except StopIteration as stop:
                return stop.value
            finally:
                if gate is not None:
                    # Once the task has been cancelled.
                    _ = asyncio.get_running_loop().call_soon(gate.set)
            self.count += 1
            if here:
                self._cancel()
            answer = raised = None
            try:
                answer = yield point
            except BaseException as error:
                raised = error

    def _held(self) -> threading.Event:
        gate = threading.Event()
        _ = self.ports.thread.submit(gate.wait)
        return gate

    def _cancel(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.when != "before":
            done = threading.Event()
            self.ports.thread.leave(done.set)
            if not done.wait(10):
                raise TimeoutError
        if self.when == "after":
            # What the thread has told the loop comes before this, and the caller's next step behind it.
            _ = asyncio.get_running_loop().call_soon(task.cancel)
        else:
            _ = task.cancel()
