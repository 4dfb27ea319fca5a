"""Every point at which a call really suspends, in its own task or in one that it made: cancelled exactly there."""

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from typing import Any

_counted: contextvars.ContextVar["Points | None"] = contextvars.ContextVar("counted", default=None)


class Points:
    """Runs a call in a task, which is cancelled at point number `at`, from 0; `again`: and at all that follow."""

    def __init__(self, at: int, *, again: bool = False) -> None:
        self.at, self.again, self.count = at, again, 0
        self.tasks: list[asyncio.Task[Any]] = []
        """The call's, and those that it made."""

    async def run(self, call: Coroutine[Any, Any, Any]) -> bool:
        """Whether the call was cancelled: False once it has fewer points than that."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(_made)
        token = _counted.set(self)
        try:
            task = asyncio.create_task(call)
        finally:
            _counted.reset(token)
        try:
            _ = await task
        except asyncio.CancelledError:
            return True
        finally:
            loop.set_task_factory(before)
        return False

    def reached(self) -> None:
        """A point."""
        if self.count == self.at or (self.again and self.count > self.at):
            _ = self.tasks[0].cancel()
        self.count += 1


class _Driven:
    """A coroutine, driven by hand."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], points: Points) -> None:
        self.coroutine, self.points = coroutine, points

    def __await__(self) -> Generator[Any, Any, Any]:
        answer: Any = None
        raised: BaseException | None = None
        while True:
            try:
                point = self.coroutine.send(answer) if raised is None else self.coroutine.throw(raised)
            except StopIteration as stop:
                return stop.value
            self.points.reached()
            answer = raised = None
            try:
                answer = yield point
            except BaseException as error:
                raised = error


def _made(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """A task whose points are counted, where the one that makes it has its own counted."""
    points = _counted.get()

    async def driven() -> Any:
        assert points is not None
        return await _Driven(coroutine, points)

    if points is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    points.tasks.append(asyncio.Task(driven(), loop=loop, **options))
    return points.tasks[-1]
