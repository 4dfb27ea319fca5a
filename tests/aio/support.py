"""An event loop for one test, after which nothing may be left, and a wire that really suspends."""

import asyncio
import functools
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypeVar

import attrs

from tests.api.support import TABLES, MakeStore, Remote, Wire
from tidesync import AsyncSyncContext
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.records import Copy
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority

T = TypeVar("T")
P = ParamSpec("P")


OTHERS = ("tidesync-writer", "tidesync-http", "tidesync-reading", "tidesync files")
"""Threads of services and transports that other tests of this process may have left to its end."""


def threads() -> list[str]:
    """The threads of contexts that do not end by themselves."""
    running = [each for each in threading.enumerate() if each.name.startswith("tidesync")]
    found = [each for each in running if not each.name.startswith(OTHERS)]
    for each in found:
        each.join(2)
    return [each.name for each in found if each.is_alive()]


def on_loop(main: Coroutine[Any, Any, T], within: float = 30.0) -> T:
    """Run it on a loop of its own: no task, thread or unseen exception may be left."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(within):
            result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            raise AssertionError(f"tasks are left: {left}")
        return result

    result = asyncio.run(watched())
    _ = gc.collect(0)
    if complaints or threads():
        raise AssertionError(f"{complaints} were not seen, {threads()} go on")
    return result


def looped(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine function, for pytest."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        on_loop(test(*args, **kwargs))

    return run


async def until(true: threading.Event) -> None:
    """Wait for a thread without holding the loop up."""
    if not await asyncio.to_thread(true.wait, 10):
        raise TimeoutError


class AsyncWire:
    """A `Wire` for an event loop. Each call suspends twice: before it reaches the remote, and with the answer."""

    def __init__(self, authority: Authority, **limits: Any) -> None:
        self.inner = Wire(authority, **limits)
        self.before: Callable[[str], Awaitable[object] | None] = lambda call: None
        """Awaited before a call reaches the remote."""

    async def _call(self, name: str, call: Callable[[], T]) -> T:
        held = self.before(name)
        if held is not None:
            await held
        await asyncio.sleep(0)
        answer = call()
        await asyncio.sleep(0)
        return answer

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return await self._call("open", lambda: self.inner.open(tables))

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return await self._call("push", lambda: self.inner.push(changes))

    async def pull(self, request: PullRequest, /) -> Page:
        return await self._call("pull", lambda: self.inner.pull(request))

    async def get(self, table: str, id: str, /) -> Copy:
        return await self._call("get", lambda: self.inner.get(table, id))

    async def close(self) -> None:
        await self._call("close", self.inner.close)


@attrs.define
class AsyncWorld:
    """One remote, and devices with a store each."""

    make_store: MakeStore
    remote: Remote

    def wire(self, **limits: Any) -> AsyncWire:
        return AsyncWire(self.remote.authority, **limits)

    def device(self, name: str = "one", wire: Any = None, **options: Any) -> AsyncSyncContext:
        """A context on the store of this name, which is to be opened."""
        options.setdefault("tables", TABLES)
        tables = options.pop("tables")
        return AsyncSyncContext(self.make_store(name), wire or self.wire(), tables, **options)
